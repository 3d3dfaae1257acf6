// Walking a tree level by level, so that git is asked once a level at most.
#include <algorithm>

#include "base/path_rules.h"
#include "base/strings.h"
#include "mirror/names.h"
#include "mirror/tree_impl.h"

namespace locki::mirror {
namespace {

struct Listing {
  std::string directory;
  std::vector<std::string> names;
  bool all = true;          // names are not known yet: list it
  bool restricted = false;  // ignored: only agreed and included paths beneath it travel
};

std::string join_path(std::string_view directory, std::string_view name) {
  std::string at;
  at.reserve(directory.size() + name.size() + 1);
  at.append(directory);
  if (!at.empty()) at += '/';
  at.append(name);
  return at;
}

std::string_view last_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_temporary(std::string_view name) { return name.starts_with(path_rules::kTemporaryPrefix); }

bool is_rule_file(std::string_view path) { return last_of(path) == ".gitignore" || path == ".git/info/exclude"; }

class Walk {
 public:
  Walk(Tree::Impl& tree, bool full) : tree_(tree), full_(full), started_ns_(wall_clock_ns()) {}

  Result<State> run(std::vector<Listing> level) {
    while (!level.empty()) {
      TRY(prepare(level));
      std::vector<Listing> next;
      for (const Listing& listing : level) TRY(visit(listing, next));
      level = std::move(next);
    }
    TRY(drop_late_ignored());
    return std::move(found_);
  }

 private:
  // Lists the directories of this level and, in an incremental walk, asks git about the names it has not judged yet.
  Result<> prepare(std::vector<Listing>& level) {
    std::vector<std::string> unknown;
    for (Listing& listing : level) {
      if (listing.all) TRY(list(listing));
      if (full_ || listing.restricted) continue;
      for (const std::string& name : listing.names) {
        std::string at = join_path(listing.directory, name);
        if (is_temporary(name) || name == ".git" || tree_.is_agreed(at) || tree_.is_ignored(at) ||
            tree_.is_included(at) || tree_.is_excluded(at) || !check_path(at))
          continue;
        // Editors make and remove files in passing: not worth asking git about.
        if (!listing.all && !tree_.root.stat(at)) continue;
        unknown.push_back(std::move(at));
      }
    }
    TRY_ASSIGN(const std::set<std::string> ignored, tree_.rules.check(unknown));
    tree_.remember_ignored(ignored);
    return {};
  }

  Result<> list(Listing& listing) {
    auto directory = tree_.root.open_directory(listing.directory);
    if (!directory) return unlisted(listing, directory.error());
    if (tree_.options.before_listing) tree_.options.before_listing(listing.directory, directory->fd());
    auto entries = directory->list(tree_.options.max_entries);
    if (!entries) return unlisted(listing, entries.error());
    if (!listing.directory.empty()) {
      const auto is_git = [](const sys::DirectoryEntry& e) { return e.name == ".git"; };
      if (std::any_of(entries->begin(), entries->end(), is_git)) {
        tree_.skip(listing.directory, "it is a repository of its own");
        retain(listing.directory);
        return {};
      }
      found_.insert_or_assign(listing.directory, Entry::directory());
    }
    listing.names.reserve(entries->size());
    for (sys::DirectoryEntry& entry : *entries) listing.names.push_back(std::move(entry.name));
    return {};
  }

  Result<> unlisted(Listing& listing, const Error& error) {
    if (error.kind() == ErrorKind::kNoSpace || listing.directory.empty()) return fail(error);
    if (error.kind() == ErrorKind::kNotFound) return {};
    tree_.skip(listing.directory, error.message());
    retain(listing.directory);
    return {};
  }

  Result<> visit(const Listing& listing, std::vector<Listing>& next) {
    if (listing.names.empty()) return {};
    auto directory = tree_.root.open_directory(listing.directory);
    if (!directory) {
      // It went away (its own event follows), or somebody replaced it: nothing beneath it is there.
      if (error_means_gone(directory.error())) return {};
      return fail(std::move(directory).error());
    }
    sys::Directory::Spot spot{std::move(*directory), ""};
    for (const std::string& name : listing.names) {
      spot.name = name;
      visit_name(spot, join_path(listing.directory, name), listing.restricted, next);
      if (found_.size() > tree_.options.max_entries)
        return fail(ErrorKind::kNoSpace,
                    "the tree holds more than " + std::to_string(tree_.options.max_entries) + " paths",
                    "let git ignore what need not travel");
    }
    return {};
  }

  static bool error_means_gone(const Error& error) {
    return error.kind() == ErrorKind::kNotFound || error.kind() == ErrorKind::kPermission;
  }

  void visit_name(const sys::Directory::Spot& spot, const std::string& at, bool restricted,
                  std::vector<Listing>& next) {
    if (spot.name == ".git") return;
    if (is_temporary(spot.name)) return remove_leftover(spot);
    if (const auto fits = check_path(at); !fits) return tree_.skip(at, fits.error().message());
    if (tree_.is_excluded(at)) return;
    const bool included = tree_.is_included(at);
    const bool agreed = included || tree_.is_agreed(at);
    const bool ignored = !included && (restricted || tree_.is_ignored(at));
    if (ignored && !agreed && !tree_.has_wanted_beneath(at)) return;

    Found found = tree_.look(spot, at);
    switch (found.what) {
      case Found::What::kNothing:
        return;
      case Found::What::kUntravelled:
        return tree_.skip(at, std::move(found.reason));
      case Found::What::kUnreadable:
        tree_.skip(at, std::move(found.reason));
        return retain(at);
      case Found::What::kEntry:
        break;
    }
    if (found.entry.kind == EntryKind::kDirectory) {
      next.push_back({.directory = at, .restricted = ignored});
    } else if (ignored && !agreed) {
      return;
    } else {
      found_.insert_or_assign(at, std::move(found.entry));
    }
    // Git listed what is ignored before this walk. What appeared since has to be asked for.
    if (full_ && !agreed && !ignored && found.stat.ctime_ns + kSlackNs >= started_ns_) late_.push_back(at);
  }

  // A process that was killed left it, where nothing outside of the tree would do. Only in a full scan: an incremental
  // one may meet those of a colleague at work in this process.
  void remove_leftover(const sys::Directory::Spot& spot) {
    if (!full_ || spot.name.find(tree_.staging.instance()) != std::string::npos) return;
    (void)spot.unlink();
  }

  // What cannot be looked at now stays as it was: "cannot be read" must not become "was deleted" on the other side.
  void retain(const std::string& at) {
    if (const auto own = tree_.state.find(at); own != tree_.state.end()) found_.insert(*own);
    const auto [first, last] = beneath(tree_.state, at);
    found_.insert(first, last);
  }

  Result<> drop_late_ignored() {
    if (late_.empty()) return {};
    TRY_ASSIGN(const std::set<std::string> ignored, tree_.rules.check(late_));
    tree_.remember_ignored(ignored);
    for (const std::string& at : ignored) {
      const auto [first, last] = beneath(found_, at);
      found_.erase(first, last);
      found_.erase(at);
    }
    return {};
  }

  static constexpr std::int64_t kSlackNs = 1'000'000'000;  // the kernel's time stamps lag behind the clock

  Tree::Impl& tree_;
  const bool full_;
  const std::int64_t started_ns_;
  State found_;
  std::vector<std::string> late_;
};

// The part of `state` that `roots` covers.
State part_of(const State& state, const std::set<std::string>& roots) {
  State part;
  for (const std::string& root : roots) {
    if (const auto own = state.find(root); own != state.end()) part.insert(*own);
    const auto [first, last] = beneath(state, root);
    part.insert(first, last);
  }
  return part;
}

// Without those that lie beneath another one.
std::set<std::string> topmost(const std::set<std::string>& dirty) {
  std::set<std::string> roots;
  for (const std::string& path : dirty) {
    bool covered = false;
    for (std::string_view up = parent_of(path); !up.empty() && !covered; up = parent_of(up))
      covered = roots.contains(std::string(up));
    if (!covered) roots.insert(path);
  }
  return roots;
}

Result<std::vector<Change>> rescan_some(Tree::Impl& tree, const std::set<std::string>& roots) {
  std::map<std::string, Listing> by_parent;
  for (const std::string& path : roots) {
    tree.skipped.erase(path);
    const std::string parent(parent_of(path));
    if (!parent.empty() && !tree.state.contains(parent))
      continue;  // ignored, skipped, or its own parent is dirty as well
    Listing& listing = by_parent[parent];
    listing.directory = parent;
    listing.all = false;
    listing.restricted = !parent.empty() && tree.is_in_ignored(parent);
    listing.names.emplace_back(last_of(path));
  }
  std::vector<Listing> level;
  for (auto& [parent, listing] : by_parent) level.push_back(std::move(listing));
  TRY_ASSIGN(const State found, Walk(tree, false).run(std::move(level)));
  const State before = part_of(tree.state, roots);
  std::vector<Change> changes = diff(before, found);
  mirror::apply(tree.state, changes);
  return changes;
}

}  // namespace

Result<State> Tree::scan() {
  Impl& tree = *impl_;
  const auto gone = [] { return fail(ErrorKind::kUnavailable, "the worktree's directory was moved or deleted"); };
  if (!tree.alive()) return gone();
  if (!std::exchange(tree.swept, true)) tree.staging.sweep(tree.root);
  TRY_ASSIGN(const std::set<std::string> ignored, tree.rules.list());
  tree.ignored.clear();
  tree.remember_ignored(ignored);
  tree.skipped.clear();
  TRY_ASSIGN(State found, Walk(tree, true).run({Listing{.directory = ""}}));
  // An empty tree is only believed while it is still the tree.
  if (!tree.alive()) return gone();

  StatCache fresh;
  for (const auto& [path, entry] : found)
    if (const CachedHash* record = tree.cache.record(path); record != nullptr && entry.kind == EntryKind::kFile)
      fresh.put(path, *record);
  if (fresh.size() != tree.cache.size()) tree.cache_dirty = true;
  tree.cache = std::move(fresh);
  tree.state = std::move(found);
  tree.scanned = true;
  (void)tree.save_cache();  // it is only a cache; the destructor reports
  return tree.state;
}

Result<std::vector<Change>> Tree::rescan(const std::set<std::string>& dirty) {
  Impl& tree = *impl_;
  std::set<std::string> plain;
  bool full = !tree.scanned;
  for (const std::string& path : dirty) {
    if (path.empty() || is_rule_file(path)) full = true;
    if (!sys::is_plain_relative(path) || is_temporary(last_of(path))) continue;
    if (path == ".git" || path.starts_with(".git/")) continue;
    plain.insert(path);
  }
  // What appears as, or in, a repository of its own is judged by its directory.
  for (const std::string& path : dirty)
    if (path.ends_with("/.git")) plain.insert(std::string(parent_of(path)));
  if (!full) {
    if (plain.empty()) return std::vector<Change>{};
    auto changes = rescan_some(tree, topmost(plain));
    // Git dies on some paths (beyond a symlink that was just made, in a submodule): everything anew does not need to
    // ask for them.
    if (changes) return changes;
  }
  State before = tree.state;
  TRY_ASSIGN(const State after, scan());
  return diff(before, after);
}

}  // namespace locki::mirror
