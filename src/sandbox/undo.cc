#include "sandbox/undo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "mirror/tree.h"
#include "sys/process.h"

namespace locki::sandbox {

namespace {

using mirror::Entry;
using mirror::EntryKind;

constexpr std::size_t kMaxFile = 512 << 20;  // held in memory, one at a time

Result<> check(const mirror::Outcome& outcome, const std::string& path) {
  if (outcome.applied()) return {};
  const bool conflict = outcome.status == mirror::Outcome::Status::kConflict;
  return fail(conflict ? ErrorKind::kConflict : ErrorKind::kFailed, fmt::format("{}: {}", printable(path), outcome.reason),
              conflict ? "somebody changed it meanwhile; run it again" : "");
}

std::optional<Entry> now_at(const mirror::State& now, const std::string& path) {
  const auto found = now.find(path);
  return found == now.end() ? std::nullopt : std::optional(found->second);
}

// Files and links first, then directories that this emptied, the deepest first.
Result<std::size_t> remove_extra(mirror::Tree& tree, const mirror::State& now, const mirror::State& wanted) {
  std::size_t changed = 0;
  std::set<std::string, std::greater<>> emptied;
  for (const auto& [path, entry] : now) {
    if (entry.kind == EntryKind::kDirectory || wanted.contains(path)) continue;
    TRY(check(tree.remove(path, entry), path));
    ++changed;
    for (auto slash = path.rfind('/'); slash != std::string::npos && slash > 0; slash = path.rfind('/', slash - 1)) emptied.insert(path.substr(0, slash));
  }
  for (const auto& path : emptied) {
    const auto below = wanted.lower_bound(path + "/");
    const bool needed = wanted.contains(path) || (below != wanted.end() && below->first.starts_with(path + "/"));
    // One that still holds ignored files stays: that is a conflict here, and no error.
    if (const auto entry = now_at(now, path); entry && !needed) (void)tree.remove(path, *entry);
  }
  return changed;
}

}  // namespace

Result<std::size_t> restore_version(const mirror::History& history, const std::string& version, const std::filesystem::path& worktree, const git::Program& git,
                                    const Config& config) {
  mirror::TreeOptions options;
  options.git = git.git;
  options.git_environment = sys::clean_environment();
  options.include = config.include;
  TRY_ASSIGN(auto tree, mirror::Tree::open(worktree, std::move(options)));
  TRY_ASSIGN(const mirror::State wanted, history.tree(version));
  TRY_ASSIGN(const mirror::State now, tree.scan());
  TRY_ASSIGN(std::size_t changed, remove_extra(tree, now, wanted));
  for (const auto& [path, listed] : wanted) {
    if (listed.kind == EntryKind::kDirectory) continue;
    TRY_ASSIGN(const std::string content, history.read(version, path, kMaxFile));
    Entry entry = listed;
    entry.size = content.size();
    entry.content = hash_of(content);
    if (entry.kind == EntryKind::kSymlink) entry.target = content;
    const auto there = now_at(now, path);
    if (there == entry) continue;
    std::size_t at = 0;
    const auto source = [&](std::uint8_t* data, std::size_t size) -> Result<std::size_t> {
      const std::size_t n = std::min(size, content.size() - at);
      std::memcpy(data, content.data() + at, n);
      at += n;
      return n;
    };
    TRY(check(entry.kind == EntryKind::kSymlink ? tree.put_symlink(path, entry, there) : tree.put_file(path, entry, source, there), path));
    ++changed;
  }
  return changed;
}

}  // namespace locki::sandbox
