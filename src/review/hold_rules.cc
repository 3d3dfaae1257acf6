#include "review/hold_rules.h"

#include <algorithm>

#include "base/path_rules.h"
#include "base/strings.h"

namespace locki::review {

Result<HoldRules> HoldRules::parse(std::string_view text) {
  HoldRules rules;
  std::size_t number = 0;
  for (const std::string& raw : split_lines(text)) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t space = line.find_first_of(" \t");
    const std::string_view why = space == std::string_view::npos ? "" : trim(line.substr(space));
    if (why.empty()) return fail(ErrorKind::kUsage, "line " + std::to_string(number) + ": a pattern needs a reason");
    TRY(context(rules.hold(line.substr(0, space), why), "in line " + std::to_string(number)));
  }
  return rules;
}

Result<> HoldRules::hold(std::string_view pattern, std::string_view why) {
  TRY(holds_.add(pattern));
  whys_.push_back(printable(why, 200));
  return {};
}

Result<> HoldRules::allow(std::string_view pattern) {
  TRY(allows_.add(pattern));
  return {};
}

bool HoldRules::allowed(std::string_view path) const { return allows_.size() != 0 && allows_.find(folded_components(path)).has_value(); }

std::optional<std::string> HoldRules::why(std::string_view path) const {
  const auto components = folded_components(path);
  // NTFS gives long names a short one; which file it means only the file system knows.
  const bool alias = std::any_of(components.begin(), components.end(), [](const std::string& part) { return path_rules::is_short_name(part); });
  const auto found = holds_.find(components);
  if ((!found && !alias) || allows_.find(components)) return std::nullopt;
  return found ? whys_[*found] : "some file systems take it for a short form of another name";
}

std::optional<std::string> HoldRules::why_link(std::string_view path) const {
  if (auto reason = why(path)) return reason;
  const auto components = folded_components(path);
  const auto found = holds_.find(components, true);
  if (!found || allows_.find(components)) return std::nullopt;
  return "a symlink that other files would be found through: " + whys_[*found];
}

}  // namespace locki::review
