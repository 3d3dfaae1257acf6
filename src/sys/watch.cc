#include "sys/watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace locki::sys {
namespace {

// IN_ONLYDIR: the descriptor is a directory, but the name behind /proc/self/fd could in theory be anything.
// IN_EXCL_UNLINK: no events for files that are only open any more.
constexpr std::uint32_t kMask = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;

bool is_below(std::string_view path, std::string_view directory) {
  return directory.empty() ||
         (path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/');
}

}  // namespace

Result<TreeWatcher> TreeWatcher::make() {
  TreeWatcher watcher;
  TRY(watcher.reset());
  return watcher;
}

Result<> TreeWatcher::reset() {
  Fd fresh(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fresh) return fail_errno(errno, "cannot start watching for changes");
  inotify_ = std::move(fresh);
  by_wd_.clear();
  by_path_.clear();
  complete_ = true;
  return {};
}

Result<> TreeWatcher::add(std::string_view path, int directory_fd) {
  // inotify takes paths only. The magic link leads to exactly the object that was opened, without resolving anything.
  const std::string magic = "/proc/self/fd/" + std::to_string(directory_fd);
  const int wd = inotify_add_watch(inotify_.get(), magic.c_str(), kMask);
  if (wd < 0) {
    const int captured = errno;
    complete_ = false;
    if (captured == ENOSPC)
      return fail(ErrorKind::kNoSpace, "the limit of watched directories is reached (fs.inotify.max_user_watches)");
    return fail_errno(captured, "cannot watch a directory");
  }
  // The kernel gives one watch per directory: the same number under a new path means that it was moved.
  if (auto old = by_wd_.find(wd); old != by_wd_.end()) {
    if (old->second == path) return {};
    by_path_.erase(old->second);
  }
  if (auto old = by_path_.find(path); old != by_path_.end() && old->second != wd) {
    const int stale = old->second;
    by_path_.erase(old);
    by_wd_.erase(stale);
    inotify_rm_watch(inotify_.get(), stale);
  }
  by_wd_[wd] = std::string(path);
  by_path_[std::string(path)] = wd;
  return {};
}

void TreeWatcher::forget(int wd) {
  if (auto it = by_wd_.find(wd); it != by_wd_.end()) {
    if (auto path = by_path_.find(it->second); path != by_path_.end() && path->second == wd) by_path_.erase(path);
    by_wd_.erase(it);
  }
}

void TreeWatcher::remove(std::string_view path) {
  auto it = by_path_.lower_bound(path);
  // "a-b" sorts between "a" and "a/b": walk on while the text is a prefix at all.
  while (it != by_path_.end() && it->first.starts_with(path)) {
    if (it->first != path && !is_below(it->first, path)) {
      ++it;
      continue;
    }
    inotify_rm_watch(inotify_.get(), it->second);
    by_wd_.erase(it->second);
    it = by_path_.erase(it);
  }
}

Result<WatchReport> TreeWatcher::drain(std::size_t max_dirty) {
  WatchReport report;
  alignas(inotify_event) std::array<char, 64 << 10> buffer;
  while (true) {
    const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return report;
      return fail_errno(errno, "cannot read what changed");
    }
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event)) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) report.overflow = true;
      const auto known = by_wd_.find(event->wd);
      if (known == by_wd_.end()) continue;
      std::string path = known->second;
      if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0 || event->len == 0) {
        if (path.empty() && (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) report.root_gone = true;
        if ((event->mask & IN_IGNORED) != 0) forget(event->wd);
      } else {
        if (!path.empty()) path += '/';
        path += event->name;
        // What is moved away may come back elsewhere: its watches would report under the old name.
        if ((event->mask & IN_ISDIR) != 0 && (event->mask & (IN_MOVED_FROM | IN_DELETE)) != 0) remove(path);
      }
      if (report.overflow) continue;
      report.dirty.insert(std::move(path));
      if (report.dirty.size() > max_dirty) report.overflow = true;
    }
  }
}

}  // namespace locki::sys
