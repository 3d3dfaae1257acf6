// The rules of the return gate: what of a branch's changes would run or steer something on the host, or deceives who looks at it. The rules are
// data (share/review/return.rules, docs/review.md has the format); the user's config adds to them and takes from them. A value; pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "review/patterns.h"

namespace locki::review {

enum class Severity { kLow, kMedium, kHigh };
std::string_view to_string(Severity severity);

// What of a change counts. Each is one function of judge.cc.
enum class Check {
  kChanged,     // made, or another content or mode
  kRemoved,     // gone
  kJson,        // JSON: the value of one of these keys
  kToml,        // TOML: the value of one of these keys
  kSources,     // a place to fetch from that was not named before; with keys: within these keys' values of a JSON file
  kLines,       // a line that has one of these words and was not there before
  kProgram,     // machine code or byte code, by content
  kDirection,   // characters that change the direction of text
  kInvisible,   // characters that nothing shows
  kControls,    // control characters, which terminals act on
  kOpaque,      // bytes for which git shows no difference
  kExecutable,  // a new executable bit, or a first line that names an interpreter
  kSymlink,
  kSubmodule,
  kName,  // such characters in the file's name
};

struct Rule {
  std::string name;
  Severity severity = Severity::kLow;
  Check check = Check::kChanged;
  std::vector<std::string> words;  // of kJson, kToml, kSources: dotted keys; of kLines: words
  std::string why;
};

class ReturnRules {
 public:
  // A pattern that ends in '/' is about everything beneath, another one about files of that name.
  // "rule  severity  check[=word,word]  pattern  why", one a line; '#' begins a comment line. kUsage with the line for anything else.
  static Result<ReturnRules> parse(std::string_view text);

  // Of the user's config: what matches is reported when it changed, as rule "yours", high.
  Result<> report(std::string_view pattern);
  // "RULE PATTERN": what matches is not reported by that rule ("*": by none).
  Result<> ignore(std::string_view line);

  std::size_t size() const { return rules_.size(); }
  // The rules of every name that this path has, each once, in their order; without those to be ignored for the path itself.
  std::vector<const Rule*> of(const std::vector<std::string>& names, bool link) const;
  bool ignored(std::string_view rule, std::string_view path) const;

 private:
  Result<> add(Rule rule, std::string_view pattern, PatternSet::Reach reach);

  PatternSet patterns_;
  std::vector<Rule> rules_;  // one a pattern
  PatternSet ignored_;
  std::vector<std::string> ignored_rules_;  // one a pattern of ignored_
};

}  // namespace locki::review
