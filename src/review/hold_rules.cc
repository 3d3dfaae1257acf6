#include "review/hold_rules.h"

#include <algorithm>

#include "base/path_rules.h"
#include "base/strings.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxPattern = 1024;

std::vector<std::string> folded_components(std::string_view path) {
  std::vector<std::string> parts = split(path, '/');
  for (std::string& part : parts) part = path_rules::fold(part);
  return parts;
}

bool has_wildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

enum class Fit { kNo, kPartly, kWhole };

// How far the pattern gets along the path from there.
Fit fit(const std::vector<std::string>& pattern, const std::vector<std::string>& path, std::size_t start) {
  const std::size_t compared = std::min(pattern.size(), path.size() - start);
  for (std::size_t i = 0; i < compared; ++i)
    if (!glob_matches(pattern[i], path[start + i])) return Fit::kNo;
  return compared == pattern.size() ? Fit::kWhole : Fit::kPartly;
}

}  // namespace

bool glob_matches(std::string_view glob, std::string_view text) {
  std::size_t g = 0, t = 0;
  std::size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g, ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

Result<HoldRules::Pattern> HoldRules::compile(std::string_view pattern, std::string_view why) {
  const std::string shown = "'" + printable(pattern, 100) + "'";
  if (pattern.size() > kMaxPattern || !is_utf8(pattern)) return fail(ErrorKind::kUsage, shown + " is no pattern");
  Pattern out;
  out.anchored = pattern.starts_with('/');
  if (out.anchored) pattern.remove_prefix(1);
  if (pattern.starts_with("**/")) pattern.remove_prefix(3);
  if (pattern.ends_with("/**")) pattern.remove_suffix(3);
  if (pattern.ends_with('/')) pattern.remove_suffix(1);
  for (const std::string& part : split(pattern, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find("**") != std::string::npos)
      return fail(ErrorKind::kUsage, shown + " is no pattern", "components with * and ?, as in .vscode/ or /docs/*.md");
    out.components.push_back(path_rules::fold(part));
  }
  out.why = printable(why, 200);
  return out;
}

void HoldRules::Patterns::add(Pattern pattern) {
  const std::string& first = pattern.components.front();
  (has_wildcard(first) ? wild : by_first[first]).push_back(all.size());
  all.push_back(std::move(pattern));
}

const HoldRules::Pattern* HoldRules::Patterns::find(const std::vector<std::string>& path, bool link) const {
  for (std::size_t start = 0; start < path.size(); ++start) {
    const auto fits = [&](std::size_t index) {
      const Pattern& pattern = all[index];
      if (pattern.anchored && start != 0) return false;
      const Fit how = fit(pattern.components, path, start);
      return how == Fit::kWhole || (link && how == Fit::kPartly);
    };
    if (const auto found = by_first.find(path[start]); found != by_first.end()) {
      for (const std::size_t index : found->second)
        if (fits(index)) return &all[index];
    }
    for (const std::size_t index : wild)
      if (fits(index)) return &all[index];
  }
  return nullptr;
}

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
  TRY_ASSIGN(Pattern compiled, compile(pattern, why));
  holds_.add(std::move(compiled));
  return {};
}

Result<> HoldRules::allow(std::string_view pattern) {
  TRY_ASSIGN(Pattern compiled, compile(pattern, ""));
  allows_.add(std::move(compiled));
  return {};
}

bool HoldRules::allowed(std::string_view path) const {
  return !allows_.all.empty() && allows_.find(folded_components(path), false) != nullptr;
}

std::optional<std::string> HoldRules::why(std::string_view path) const {
  const auto components = folded_components(path);
  // NTFS gives long names a short one; which file it means only the file system knows.
  const bool alias = std::any_of(components.begin(), components.end(), [](const std::string& part) { return path_rules::is_short_name(part); });
  const Pattern* found = holds_.find(components, false);
  if ((found == nullptr && !alias) || allows_.find(components, false) != nullptr) return std::nullopt;
  return found != nullptr ? found->why : "some file systems take it for a short form of another name";
}

std::optional<std::string> HoldRules::why_link(std::string_view path) const {
  if (auto reason = why(path)) return reason;
  const auto components = folded_components(path);
  const Pattern* found = holds_.find(components, true);
  if (found == nullptr || allows_.find(components, false) != nullptr) return std::nullopt;
  return "a symlink that other files would be found through: " + found->why;
}

}  // namespace locki::review
