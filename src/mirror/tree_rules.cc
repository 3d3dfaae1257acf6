// Which paths belong to a tree's state.
#include "mirror/tree_impl.h"

namespace locki::mirror {
namespace {

using PathSet = std::set<std::string, std::less<>>;

// `at` itself or one of the directories above it.
bool has_prefix_in(const PathSet& set, std::string_view at) {
  if (set.empty()) return false;
  while (true) {
    if (set.contains(at)) return true;
    const std::size_t slash = at.rfind('/');
    if (slash == std::string_view::npos) return false;
    at = at.substr(0, slash);
  }
}

}  // namespace

bool any_beneath(const PathSet& paths, std::string_view directory) {
  const std::string prefix = std::string(directory) + '/';
  const auto it = paths.lower_bound(prefix);
  return it != paths.end() && it->starts_with(prefix);
}

bool Tree::Impl::is_excluded(std::string_view at) const {
  for (const std::string& out : options.exclude)
    if (at == out || is_beneath(at, out)) return true;
  return false;
}

bool Tree::Impl::is_included(std::string_view at) const { return has_prefix_in(include, at); }
bool Tree::Impl::is_agreed(std::string_view at) const { return kept.contains(at) || state.contains(at); }
bool Tree::Impl::is_ignored(std::string_view at) const { return ignored.contains(at) || held.contains(at); }

bool Tree::Impl::has_wanted_beneath(std::string_view at) const {
  return any_beneath(kept, at) || any_beneath(include, at);
}

bool Tree::Impl::is_in_ignored(std::string_view at) const {
  return !is_included(at) && (has_prefix_in(ignored, at) || has_prefix_in(held, at));
}

void Tree::Impl::remember_ignored(const std::set<std::string>& fresh) {
  ignored.insert(fresh.begin(), fresh.end());
  if (!options.hold_ignored) return;
  for (const std::string& at : fresh) {
    if (is_agreed(at) || is_included(at)) continue;
    if (held.insert(at).second) cache_dirty = true;
  }
}

}  // namespace locki::mirror
