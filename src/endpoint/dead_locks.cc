#include "endpoint/dead_locks.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::endpoint {
namespace {

// Any program of git's, whatever it works on. Where processes cannot be listed, one is assumed.
bool git_runs() {
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), &::closedir);
  if (!processes) return true;
  while (const dirent* process = ::readdir(processes.get())) {
    const std::string_view id = process->d_name;
    if (!std::all_of(id.begin(), id.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    const auto name = sys::read_file("/proc/" + std::string(id) + "/comm", 64);
    if (name && name->starts_with("git")) return true;
  }
  return false;
}

}  // namespace

DeadLocks::DeadLocks(std::string directory, std::vector<std::string> names, std::chrono::milliseconds patience)
    : directory_(std::move(directory)), names_(std::move(names)), patience_(patience) {}

bool DeadLocks::dead(const std::string& path) {
  struct stat raw {};
  if (::lstat(path.c_str(), &raw) != 0 || !S_ISREG(raw.st_mode)) {
    seen_.erase(path);
    return false;
  }
  const sys::FileStat now = sys::file_stat(raw);
  const auto known = seen_.find(path);
  if (known == seen_.end() || !known->second.stat.same_object(now) || known->second.stat.ctime_ns != now.ctime_ns) {
    seen_[path] = {now, Clock::now()};
    return false;
  }
  return Clock::now() >= known->second.since + patience_ && !git_runs();
}

bool DeadLocks::clear(std::string_view message) {
  bool cleared = false;
  for (const std::string& name : names_) {
    if (message.find("/" + name + "'") == std::string_view::npos) continue;
    const std::string path = directory_ + "/" + name;
    if (!dead(path) || ::unlink(path.c_str()) != 0) continue;
    seen_.erase(path);
    cleared = true;
    cleared_ += (cleared_.empty() ? "" : "; ") + std::string("the lock ") + path + " is removed: the git that made it was killed";
  }
  return cleared;
}

}  // namespace locki::endpoint
