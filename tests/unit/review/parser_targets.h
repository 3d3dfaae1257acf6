// One function for the return gate's readers of hostile bytes: feeds them anything and aborts when what comes out breaks its promises. Shared by the mutation
// test, which runs everywhere, and the fuzz target, which needs clang.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "git/objects.h"
#include "review/branch.h"
#include "review/manifest_checks.h"
#include "review/program_checks.h"
#include "review/text_checks.h"

namespace locki::review::testing {

inline void require(bool holds) {
  if (!holds) std::abort();
}

inline const Rules& every_check() {
  static const Rules rules{*HoldRules::parse(".vscode/  why\n"), *ReturnRules::parse("a high changed * why\nb low json=scripts,a.b * why\nc low toml=scripts,a.b * why\nd low sources * why\ne low lines=x,^y * why\n"
                                                                                     "f low program * why\ng low direction * why\nh low invisible * why\ni low controls * why\nj low opaque * why\n"
                                                                                     "k low executable * why\nl low symlink * why\nm low submodule * why\nn low name * why\no low sources=a,b * why\n")};
  return rules;
}

// The first line is the path, then the content before and after, with a NUL, NUL between them.
inline void content_target(std::string_view bytes) {
  const auto newline = bytes.find('\n');
  const std::string_view path = bytes.substr(0, newline);
  const std::string_view rest = newline == std::string_view::npos ? "" : bytes.substr(newline + 1);
  const auto middle = rest.find(std::string_view("\0\0", 2));
  const std::string_view before = rest.substr(0, middle), after = middle == std::string_view::npos ? rest : rest.substr(middle + 2);
  if (path.empty()) return;
  const auto nothing = [](std::string_view) { return false; };
  for (const std::uint32_t mode : {kModeFile, kModeProgram, kModeSymlink}) {
    const Change change{std::string(path), {kModeFile, std::string(before)}, {mode, std::string(after)}};
    for (const Finding& finding : judge(change, every_check(), {{}, nothing})) {
      require(finding.path == path && !finding.rule.empty() && finding.detail.size() <= 300);
      const Judged judged{finding};
      const auto again = judged_from_json(to_json(judged));
      require(again && again->rule == finding.rule && again->severity == finding.severity);
    }
    // What did not change is no finding of any check on content.
    const Change same{std::string(path), {mode, std::string(after)}, {mode, std::string(after)}};
    require(judge(same, every_check(), {{}, nothing}).empty());
  }
  for (const Oddity oddity : {Oddity::kDirection, Oddity::kInvisible, Oddity::kControls}) {
    for (const OddLine& line : odd_lines(after, oddity)) require(line.number > 0 && line.text.data() >= after.data() && line.text.data() + line.text.size() <= after.data() + after.size());
    require(!first_new_odd_line(after, after, oddity));
  }
  for (const std::string& source : sources_in(after)) require(!source.empty() && source.size() < 400);
}

// Reports as the confined reader writes them, and git's listings.
inline void report_target(std::string_view bytes) {
  (void)git::parse_raw_changes(bytes);
  (void)git::parse_tree_listing(bytes);
  git::BatchReader reader(bytes);
  for (int i = 0; i < 4; ++i)
    if (const auto blob = reader.next("blob"); !blob || blob->size() > bytes.size()) break;
  const auto o = json::parse_object(bytes, 1 << 20);
  if (!o) return;
  if (const auto finding = judged_from_json(*o)) require(judged_from_json(to_json(*finding)).has_value());
}

}  // namespace locki::review::testing
