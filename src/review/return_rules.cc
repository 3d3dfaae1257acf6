#include "review/return_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/strings.h"

namespace locki::review {
namespace {

struct CheckName {
  std::string_view name;
  Check check;
  bool words_needed = false, words_allowed = false;
};
constexpr std::array<CheckName, 15> kChecks{{{"changed", Check::kChanged},
                                             {"removed", Check::kRemoved},
                                             {"json", Check::kJson, true, true},
                                             {"toml", Check::kToml, true, true},
                                             {"sources", Check::kSources, false, true},
                                             {"lines", Check::kLines, true, true},
                                             {"program", Check::kProgram},
                                             {"direction", Check::kDirection},
                                             {"invisible", Check::kInvisible},
                                             {"controls", Check::kControls},
                                             {"opaque", Check::kOpaque},
                                             {"executable", Check::kExecutable},
                                             {"symlink", Check::kSymlink},
                                             {"submodule", Check::kSubmodule},
                                             {"name", Check::kName}}};

std::optional<Severity> severity_of(std::string_view word) {
  if (word == "high") return Severity::kHigh;
  if (word == "medium") return Severity::kMedium;
  if (word == "low") return Severity::kLow;
  return std::nullopt;
}

// The next word of a line, and what follows it.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, end);
  line = trim(line.substr(end));
  return word;
}

bool is_rule_name(std::string_view name) {
  return !name.empty() && name.size() <= 40 &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

Result<> set_check(Rule& rule, std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const auto* found = std::find_if(kChecks.begin(), kChecks.end(), [&](const CheckName& check) { return check.name == name; });
  if (found == kChecks.end()) return fail(ErrorKind::kUsage, "'" + printable(name, 40) + "' is no check");
  const bool words = equals != std::string_view::npos;
  if (words ? !found->words_allowed : found->words_needed) return fail(ErrorKind::kUsage, "'" + printable(text, 80) + "': " + (words ? "it takes no words" : "it needs words after '='"));
  rule.check = found->check;
  if (words) rule.words = split(text.substr(equals + 1), ',');
  if (std::any_of(rule.words.begin(), rule.words.end(), [](const std::string& word) { return word.empty(); })) return fail(ErrorKind::kUsage, "an empty word after '='");
  return {};
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kHigh: return "high";
    case Severity::kMedium: return "medium";
    case Severity::kLow: break;
  }
  return "low";
}

Result<> ReturnRules::add(Rule rule, std::string_view pattern, PatternSet::Reach reach) {
  TRY(patterns_.add(pattern, reach));
  rules_.push_back(std::move(rule));
  return {};
}

Result<ReturnRules> ReturnRules::parse(std::string_view text) {
  ReturnRules rules;
  std::size_t number = 0;
  for (const std::string& raw : split_lines(text)) {
    ++number;
    std::string_view line = trim(raw);
    if (line.empty() || line.starts_with('#')) continue;
    const std::string where = "line " + std::to_string(number);
    Rule rule;
    rule.name = take_word(line);
    const auto severity = severity_of(take_word(line));
    const std::string_view check = take_word(line);
    const std::string_view pattern = take_word(line);
    if (!is_rule_name(rule.name) || !severity || line.empty())
      return fail(ErrorKind::kUsage, where + ": a rule is: name, severity (high, medium, low), check, pattern, reason");
    rule.severity = *severity;
    rule.why = printable(line, 300);
    TRY(context(set_check(rule, check), "in " + where));
    TRY(context(rules.add(std::move(rule), pattern, PatternSet::Reach::kItself), "in " + where));
  }
  return rules;
}

Result<> ReturnRules::report(std::string_view pattern) {
  return add({"yours", Severity::kHigh, Check::kChanged, {}, "your own configuration asks to be shown this"}, pattern, PatternSet::Reach::kBeneath);
}

Result<> ReturnRules::ignore(std::string_view line) {
  std::string_view rest = trim(line);
  const std::string_view rule = take_word(rest);
  if ((rule != "*" && !is_rule_name(rule)) || rest.empty() || rest.find_first_of(" \t") != std::string_view::npos)
    return fail(ErrorKind::kUsage, "'" + printable(line, 100) + "' is not a rule and a pattern", "as in \"program /tests/data/\" or \"* /vendor/\"");
  TRY(ignored_.add(rest));
  ignored_rules_.emplace_back(rule);
  return {};
}

bool ReturnRules::ignored(std::string_view rule, std::string_view path) const {
  bool found = false;
  if (ignored_.size() != 0) {
    ignored_.each(folded_components(path), false, [&](std::size_t index) { return found = ignored_rules_[index] == "*" || ignored_rules_[index] == rule; });
  }
  return found;
}

std::vector<const Rule*> ReturnRules::of(const std::vector<std::string>& names, bool link) const {
  std::set<std::size_t> found;
  for (const std::string& name : names) {
    patterns_.each(folded_components(name), link, [&](std::size_t index) {
      found.insert(index);
      return false;
    });
  }
  std::vector<const Rule*> out;
  for (const std::size_t index : found)
    if (!ignored(rules_[index].name, names.front())) out.push_back(&rules_[index]);
  return out;
}

}  // namespace locki::review
