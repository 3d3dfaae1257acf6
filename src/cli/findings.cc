#include "cli/findings.h"

#include <map>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace locki::cli {
namespace {

constexpr std::size_t kMaxShown = 20;  // of one reason; --json has all

std::string coloured(const std::string& severity, const term::Style& style) {
  if (severity == "high") return style.red(severity);
  if (severity == "medium") return style.yellow(severity);
  return style.dim(severity);
}

std::string line_of(const json::object& finding, const term::Style& style) {
  std::string out = "    " + style.bold(printable(json::string_or(finding, "path"), 4000));
  if (const auto detail = json::string_or(finding, "detail"); !detail.empty()) out += "  " + printable(detail, 300);
  const std::string where = json::string_or(finding, "where");
  if (where == "worktree") out += style.dim("  (not committed)");
  if (where == "history") out += style.dim("  (only in the commit " + printable(json::string_or(finding, "commit").substr(0, 12), 12) + ", not at the tip)");
  return out + "\n";
}

}  // namespace

Result<FindingCounts> count_findings(const json::array& findings) {
  FindingCounts counts;
  for (const auto& value : findings) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's report holds something else");
    TRY_ASSIGN(const std::string severity, json::get_string(value.get_object(), "severity"));
    ++(severity == "high" ? counts.high : severity == "medium" ? counts.medium : counts.low);
  }
  return counts;
}

std::string described(const FindingCounts& counts) {
  std::vector<std::string> parts;
  for (const auto& [number, name] : {std::pair{counts.high, "high"}, {counts.medium, "medium"}, {counts.low, "low"}})
    if (number > 0) parts.push_back(std::to_string(number) + " " + name);
  return join(parts, ", ");
}

Result<std::string> shown_findings(const json::array& findings, const term::Style& style, bool only_high) {
  // One reason, all its paths. The order is the report's: most severe first.
  struct Group {
    std::string severity, rule, why;
    std::vector<const json::object*> findings;
  };
  std::vector<Group> groups;
  std::map<std::string, std::size_t> index;
  for (const auto& value : findings) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's report holds something else");
    const auto& finding = value.get_object();
    Group group{json::string_or(finding, "severity"), json::string_or(finding, "rule"), json::string_or(finding, "why"), {}};
    if (only_high && group.severity != "high") continue;
    const auto [at, is_new] = index.try_emplace(group.severity + "\n" + group.rule + "\n" + group.why, groups.size());
    if (is_new) groups.push_back(std::move(group));
    groups[at->second].findings.push_back(&finding);
  }
  std::string out;
  for (const Group& group : groups) {
    out += coloured(printable(group.severity, 20), style) + "  " + printable(group.rule, 60) + ": " + printable(group.why) + "\n";
    for (std::size_t i = 0; i < group.findings.size() && i < kMaxShown; ++i) out += line_of(*group.findings[i], style);
    if (group.findings.size() > kMaxShown) out += "    … and " + std::to_string(group.findings.size() - kMaxShown) + " more (--json)\n";
  }
  return out;
}

}  // namespace locki::cli
