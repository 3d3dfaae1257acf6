#include "endpoint/git_watch.h"

#include <dirent.h>

namespace locki::endpoint {
namespace {

constexpr std::size_t kMaxDirectories = 2000;
constexpr int kMaxDepth = 16;

}  // namespace

Result<GitWatch> GitWatch::make() {
  TRY_ASSIGN(sys::TreeWatcher watcher, sys::TreeWatcher::make());
  return GitWatch(std::move(watcher));
}

void GitWatch::arm(const sys::Directory& root) {
  directories_ = 0;
  auto git = root.open_directory(".git");
  armed_ = git && watcher_.add("", git->fd());
  if (!armed_) return;
  if (auto info = git->open_directory("info")) (void)watcher_.add("info", info->fd());
  add_refs(*git, "refs", 0);
}

void GitWatch::add_refs(const sys::Directory& git, const std::string& path, int depth) {
  auto directory = git.open_directory(path);
  if (!directory || depth > kMaxDepth || ++directories_ > kMaxDirectories) return;
  if (!watcher_.add(path, directory->fd())) armed_ = false;
  const auto entries = directory->list(100'000);
  if (!entries) return;
  for (const sys::DirectoryEntry& entry : *entries)
    if (entry.type == DT_DIR || entry.type == DT_UNKNOWN) add_refs(git, path + "/" + entry.name, depth + 1);
}

GitWatch::Changes GitWatch::drain() {
  Changes changes;
  const auto report = watcher_.drain();
  if (!report || report->overflow || report->root_gone) {
    changes.head = changes.rules = true;
    armed_ = armed_ && report && !report->root_gone;
    return changes;
  }
  for (const std::string& path : report->dirty) {
    if (path.ends_with(".lock")) continue;
    if (path == "HEAD" || path == "packed-refs" || path == "refs" || path.starts_with("refs/")) changes.head = true;
    if (path == "info" || path == "info/exclude") changes.rules = true;
  }
  return changes;
}

}  // namespace locki::endpoint
