// Which paths of a worktree would run or steer something on the host merely because a folder is opened or entered. The list
// is data (share/review/held.rules) and the user's config; patterns.h says how they match. Pure; a value; no thread rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "review/patterns.h"

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
  std::size_t size() const { return holds_.size(); }
  // Why an entry at this path is held, or nullopt. The path has passed path_rules::why_bad_path().
  std::optional<std::string> why(std::string_view path) const;
  // The same for a symlink: also where a pattern leads on beneath it, so that what lies elsewhere would get a held name.
  std::optional<std::string> why_link(std::string_view path) const;

 private:
  PatternSet holds_, allows_;
  std::vector<std::string> whys_;  // of holds_
};

}  // namespace locki::review
