// Which paths of a worktree would run or steer something on the host merely because a folder is opened or entered. The list
// is data (share/review/held.rules) and the user's config; this file only matches. Pure; a value; no thread rules.
//
// A pattern is components with '*' and '?' inside them. Without a leading '/' it may begin at any directory. It matches a path
// when it matches the path or a directory above it; a trailing '/' or '/**' only makes that plain to read. Both sides are
// folded first (path_rules::fold): letter case, and every other spelling that a host file system could take for the same name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace locki::review {

class HoldRules {
 public:
  // "pattern  why", one a line; '#' begins a comment line. kUsage with the line for anything else.
  static Result<HoldRules> parse(std::string_view text);

  // kUsage when it is no pattern.
  Result<> hold(std::string_view pattern, std::string_view why);
  // What an allow pattern matches is not held, whatever else matches.
  Result<> allow(std::string_view pattern);

  bool allowed(std::string_view path) const;
  std::size_t size() const { return holds_.all.size(); }
  // Why an entry at this path is held, or nullopt. The path has passed path_rules::why_bad_path().
  std::optional<std::string> why(std::string_view path) const;
  // The same for a symlink: also where a pattern leads on beneath it, so that what lies elsewhere would get a held name.
  std::optional<std::string> why_link(std::string_view path) const;

 private:
  struct Pattern {
    std::vector<std::string> components;  // folded
    bool anchored = false;
    std::string why;
  };
  struct Patterns {
    std::vector<Pattern> all;
    std::unordered_map<std::string, std::vector<std::size_t>> by_first;  // first component without wildcards
    std::vector<std::size_t> wild;                                       // first component with one
    void add(Pattern pattern);
    const Pattern* find(const std::vector<std::string>& path, bool link) const;
  };
  static Result<Pattern> compile(std::string_view pattern, std::string_view why);

  Patterns holds_, allows_;
};

// '*' and '?' over bytes. Linear in practice, bounded by the product of both lengths.
bool glob_matches(std::string_view glob, std::string_view text);

}  // namespace locki::review
