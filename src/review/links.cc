#include "review/links.h"

#include <algorithm>
#include <set>

#include "base/path_rules.h"
#include "base/strings.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxNames = 256;

std::string folded(std::string_view path) {
  std::vector<std::string> parts = split(path, '/');
  for (std::string& part : parts) part = path_rules::fold(part);
  return join(parts, "/");
}

// Where a link leads, by names alone: ".." undoes a name. "" is the root; nullopt leads outside.
std::optional<std::string> resolved(std::string_view path, std::string_view target) {
  if (target.starts_with('/')) return std::nullopt;
  std::vector<std::string> parts = split(path, '/');
  parts.pop_back();
  for (std::string& part : split(target, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(std::move(part));
    } else if (parts.empty()) {
      return std::nullopt;
    } else {
      parts.pop_back();
    }
  }
  return join(parts, "/");
}

}  // namespace

void Links::add(std::string_view path, std::string_view target) {
  if (const auto to = resolved(path, target)) by_target_[folded(*to)].emplace_back(path);
}

std::optional<std::vector<std::string>> Links::names_of(std::string_view path) const {
  std::vector<std::string> names{std::string(path)};
  if (by_target_.empty()) return names;
  std::set<std::string> seen{folded(path)};
  // The links that a name came through: each counts once, or one to a directory above itself would give names without end.
  std::vector<std::set<const std::string*>> through(1);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string name = names[i];
    // "" (the root) is above everything; then each directory above; then the name itself.
    for (std::size_t end = 0; end != std::string::npos;) {
      const auto found = by_target_.find(folded(std::string_view(name).substr(0, end)));
      const std::string rest = end == 0 ? "/" + name : name.substr(end);
      if (found != by_target_.end()) {
        for (const std::string& link : found->second) {
          std::string other = link + rest;
          if (through[i].contains(&link) || other.size() > path_rules::kMaxPath || !seen.insert(folded(other)).second) continue;
          if (names.size() == kMaxNames) return std::nullopt;
          names.push_back(std::move(other));
          through.push_back(through[i]);
          through.back().insert(&link);
        }
      }
      if (end == name.size()) break;
      end = std::min(name.find('/', end == 0 ? 0 : end + 1), name.size());
    }
  }
  return names;
}

}  // namespace locki::review
