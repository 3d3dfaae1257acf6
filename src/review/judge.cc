#include "review/judge.h"

#include <algorithm>

#include "base/strings.h"
#include "review/manifest_checks.h"
#include "review/program_checks.h"
#include "review/repository_parts.h"
#include "review/text_checks.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxDetail = 300;

bool is_file(const Version& version) { return version.mode == kModeFile || version.mode == kModeProgram; }
bool is_text(const Version& version) { return is_file(version) && !git_calls_binary(version.content) && !program_kind(version.content); }
bool changed(const Change& change) { return change.after.mode != 0 && (change.before.mode != change.after.mode || change.before.unread || change.after.unread || change.before.content != change.after.content); }
std::string_view old_text(const Change& change) { return is_file(change.before) ? std::string_view(change.before.content) : std::string_view(); }

// nullopt: the rule finds nothing. Else the detail.
using Found = std::optional<std::string>;

Found some(const std::vector<std::string>& names) {
  if (names.empty()) return std::nullopt;
  return join(names, ", ");
}

Found new_oddity(const Change& change, Oddity oddity) {
  if (!is_text(change.after)) return std::nullopt;
  const auto line = first_new_odd_line(old_text(change), change.after.content, oddity);
  return line ? Found(describe(*line)) : std::nullopt;
}

Found new_sources(const Change& change, const Rule& rule) {
  if (!is_file(change.after)) return std::nullopt;
  const auto in = [&](std::string_view text) { return rule.words.empty() ? sources_in(text) : sources_in_json(text, rule.words); };
  const auto before = in(old_text(change));
  std::vector<std::string> added;
  for (const std::string& source : in(change.after.content)) {
    if (!before.contains(source) && added.size() < 8) added.push_back(source);
  }
  return some(added);
}

Found new_program(const Change& change) {
  if (!is_file(change.after)) return std::nullopt;
  const auto kind = program_kind(change.after.content);
  if (!kind || change.before.content == change.after.content) return std::nullopt;
  return std::string(*kind);
}

Found newly_executable(const Change& change) {
  if (!is_file(change.after)) return std::nullopt;
  const auto interpreter = shebang(change.after.content);
  if (change.after.mode == kModeProgram && change.before.mode != kModeProgram) return interpreter ? "executable, by " + std::string(*interpreter) : "executable";
  if (interpreter && interpreter != shebang(old_text(change))) return "by " + std::string(*interpreter);
  return std::nullopt;
}

// Characters in the name that no reader sees as they are. Control characters and invalid bytes do not pass the door, but the user's own names may have them.
Found odd_name(const Change& change) {
  if (change.before.mode != 0 || change.after.mode == 0) return std::nullopt;
  for (const Oddity oddity : {Oddity::kDirection, Oddity::kInvisible, Oddity::kControls}) {
    if (!odd_lines(change.path, oddity).empty() || change.path.find('\n') != std::string::npos) return printable(change.path, kMaxDetail);
  }
  return std::nullopt;
}

Found check(const Change& change, const Rule& rule) {
  const Version& after = change.after;
  switch (rule.check) {
    case Check::kChanged: return changed(change) ? Found(change.before.mode == 0 ? "new" : "changed") : std::nullopt;
    case Check::kRemoved: return change.before.mode != 0 && after.mode == 0 ? Found("removed") : std::nullopt;
    case Check::kJson: return is_file(after) ? some(changed_json_keys(old_text(change), after.content, rule.words)) : std::nullopt;
    case Check::kToml: return is_file(after) ? some(changed_toml_keys(old_text(change), after.content, rule.words)) : std::nullopt;
    case Check::kSources: return new_sources(change, rule);
    case Check::kLines: return is_file(after) ? some(new_lines_with(old_text(change), after.content, rule.words, 3)) : std::nullopt;
    case Check::kProgram: return new_program(change);
    case Check::kDirection: return new_oddity(change, Oddity::kDirection);
    case Check::kInvisible: return new_oddity(change, Oddity::kInvisible);
    case Check::kControls: return new_oddity(change, Oddity::kControls);
    case Check::kOpaque: return is_file(after) && git_calls_binary(after.content) && (!is_file(change.before) || !git_calls_binary(change.before.content)) ? Found("it holds NUL bytes") : std::nullopt;
    case Check::kExecutable: return newly_executable(change);
    case Check::kSymlink: return after.mode == kModeSymlink && changed(change) ? Found("to " + after.content) : std::nullopt;
    case Check::kSubmodule: return (after.mode == kModeSubmodule || change.before.mode == kModeSubmodule) && change.before.mode + after.mode != 0 ? Found(after.mode == 0 ? "removed" : change.before.mode == 0 ? "new" : "changed") : std::nullopt;
    case Check::kName: return odd_name(change);
  }
  return std::nullopt;
}

std::optional<std::string> why_held(const Change& change, const std::vector<std::string>& names, const Rules& rules, const Surroundings& around) {
  const bool link = change.after.mode == kModeSymlink;
  if (!changed(change) || rules.held.allowed(change.path)) return std::nullopt;
  for (const std::string& name : names) {
    if (auto why = link ? rules.held.why_link(name) : rules.held.why(name)) return why;
    if (auto why = why_repository_part(name, around.host_has_head)) return why;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Finding> judge(const Change& change, const Rules& rules, const Surroundings& around) {
  std::vector<Finding> found;
  const auto add = [&](std::string_view rule, Severity severity, std::string why, std::string detail) {
    if (detail.size() > kMaxDetail) detail.resize(kMaxDetail);
    found.push_back({change.path, std::string(rule), severity, std::move(why), std::move(detail)});
  };
  const auto names = around.links.names_of(change.path);
  if (!names) add("unread", Severity::kHigh, "symlinks give it more names than can be looked at", "");
  const std::vector<std::string> known = names ? *names : std::vector<std::string>{change.path};
  if (auto why = why_held(change, known, rules, around); why && !rules.ret.ignored("held", change.path)) add("held", Severity::kHigh, std::move(*why), change.before.mode == 0 ? "new" : "changed");
  if ((change.after.unread || change.before.unread) && changed(change) && !rules.ret.ignored("unread", change.path))
    add("unread", Severity::kMedium, "it is larger than the return gate looks at", "");
  for (const Rule* rule : rules.ret.of(known, change.after.mode == kModeSymlink)) {
    const bool reported = std::any_of(found.begin(), found.end(), [&](const Finding& finding) { return finding.rule == rule->name; });
    if (reported) continue;
    if (auto detail = check(change, *rule)) add(rule->name, rule->severity, rule->why, std::move(*detail));
  }
  return found;
}

}  // namespace locki::review
