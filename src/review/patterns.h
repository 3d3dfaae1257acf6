// Patterns of paths, as the rules and the user's config have them. Pure; a value; no thread rules.
//
// A pattern is components with '*' and '?' inside them. Without a leading '/' it may begin at any directory. It matches a path
// when it matches the path or a directory above it (unless its list says that this takes a trailing '/' or '/**'). Both sides are
// folded first (path_rules::fold): letter case, and every other spelling that a host file system could take for the same name.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace locki::review {

class PatternSet {
 public:
  // What a pattern that ends in no '/' matches: the path itself only, or also everything beneath it.
  enum class Reach { kItself, kBeneath };
  // Gives its number: 0, 1, … kUsage when it is no pattern.
  Result<std::size_t> add(std::string_view pattern, Reach reach = Reach::kBeneath);
  std::size_t size() const { return all_.size(); }

  // The number of one that matches. `link`: it also counts that a pattern leads on beneath the path.
  std::optional<std::size_t> find(const std::vector<std::string>& folded_path, bool link = false) const;
  // Calls for each that matches (several times, if it does so at several places) until the function gives true.
  void each(const std::vector<std::string>& folded_path, bool link, const std::function<bool(std::size_t)>& stop) const;

 private:
  struct Pattern {
    std::vector<std::string> components;  // folded
    bool anchored = false;
    bool beneath = true;
  };
  static Result<Pattern> compile(std::string_view pattern, Reach reach);

  std::vector<Pattern> all_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_first_;  // first component without wildcards
  std::vector<std::size_t> wild_;                                       // first component with one
};

std::vector<std::string> folded_components(std::string_view path);

// '*' and '?' over bytes. Linear in practice, bounded by the product of both lengths.
bool glob_matches(std::string_view glob, std::string_view text);

}  // namespace locki::review
