#include "sandbox/rest_mark.h"

#include <sys/stat.h>
#include <time.h>

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kClockLag = kSecond / 20;
constexpr int kMostEntries = 200'000;  // a tenth of a second or so

bool changed_after(const char* path, std::int64_t mark) {
  struct stat status {};
  return ::lstat(path, &status) != 0 || std::int64_t{status.st_ctim.tv_sec} * kSecond + status.st_ctim.tv_nsec >= mark;
}

}  // namespace

std::int64_t rest_mark_now() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * kSecond + now.tv_nsec - kClockLag;
}

bool unchanged_since(const fs::path& worktree, std::int64_t mark) {
  if (mark <= 0 || mark > rest_mark_now() || changed_after(worktree.c_str(), mark)) return false;
  std::error_code error;
  int entries = 0;
  for (fs::recursive_directory_iterator at(worktree, error), end; !error && at != end; at.increment(error)) {
    if (++entries > kMostEntries) return false;
    if (at.depth() == 0 && at->path().filename() == ".git") {
      at.disable_recursion_pending();
      continue;
    }
    if (changed_after(at->path().c_str(), mark)) return false;
  }
  return !error;
}

}  // namespace locki::sandbox
