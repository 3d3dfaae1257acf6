#include "review/patterns.h"

#include <algorithm>

#include "base/path_rules.h"
#include "base/strings.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxPattern = 1024;

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

std::vector<std::string> folded_components(std::string_view path) {
  std::vector<std::string> parts = split(path, '/');
  for (std::string& part : parts) part = path_rules::fold(part);
  return parts;
}

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

Result<PatternSet::Pattern> PatternSet::compile(std::string_view pattern, Reach reach) {
  const std::string shown = "'" + printable(pattern, 100) + "'";
  if (pattern.size() > kMaxPattern || !is_utf8(pattern)) return fail(ErrorKind::kUsage, shown + " is no pattern");
  Pattern out;
  out.anchored = pattern.starts_with('/');
  if (out.anchored) pattern.remove_prefix(1);
  if (pattern.starts_with("**/")) pattern.remove_prefix(3);
  out.beneath = reach == Reach::kBeneath || pattern.ends_with('/') || pattern.ends_with("/**");
  if (pattern.ends_with("/**")) pattern.remove_suffix(3);
  if (pattern.ends_with('/')) pattern.remove_suffix(1);
  for (const std::string& part : split(pattern, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find("**") != std::string::npos)
      return fail(ErrorKind::kUsage, shown + " is no pattern", "components with * and ?, as in .vscode/ or /docs/*.md");
    out.components.push_back(path_rules::fold(part));
  }
  return out;
}

Result<std::size_t> PatternSet::add(std::string_view pattern, Reach reach) {
  TRY_ASSIGN(Pattern compiled, compile(pattern, reach));
  const std::string& first = compiled.components.front();
  (has_wildcard(first) ? wild_ : by_first_[first]).push_back(all_.size());
  all_.push_back(std::move(compiled));
  return all_.size() - 1;
}

void PatternSet::each(const std::vector<std::string>& path, bool link, const std::function<bool(std::size_t)>& stop) const {
  for (std::size_t start = 0; start < path.size(); ++start) {
    const auto fits = [&](std::size_t index) {
      const Pattern& pattern = all_[index];
      if (pattern.anchored && start != 0) return false;
      const Fit how = fit(pattern.components, path, start);
      if (how == Fit::kWhole && !pattern.beneath && start + pattern.components.size() != path.size()) return false;
      return how == Fit::kWhole || (link && how == Fit::kPartly);
    };
    if (const auto found = by_first_.find(path[start]); found != by_first_.end()) {
      for (const std::size_t index : found->second)
        if (fits(index) && stop(index)) return;
    }
    for (const std::size_t index : wild_)
      if (fits(index) && stop(index)) return;
  }
}

std::optional<std::size_t> PatternSet::find(const std::vector<std::string>& path, bool link) const {
  std::optional<std::size_t> found;
  each(path, link, [&](std::size_t index) {
    found = index;
    return true;
  });
  return found;
}

}  // namespace locki::review
