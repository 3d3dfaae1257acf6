// Files of our own (state, config, caches): whole reads, atomic writes, secrets, sparse copies. For paths that only we and the user
// can change. What a sandbox can influence goes through beneath.h instead.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

namespace fs = std::filesystem;

Result<Fd> open_file(const fs::path& path, int flags, mode_t mode = 0600);  // adds O_CLOEXEC
// kNotFound when absent; kNoSpace beyond the limit.
Result<std::string> read_file(const fs::path& path, std::size_t limit = 64 << 20);
// Beside and rename, on disk when it returns: readers see the old or the new content, also after a crash.
Result<> write_file(const fs::path& path, std::string_view content, mode_t mode = 0644);
// Names that were made, renamed or removed in it are on disk afterwards.
Result<> sync_directory(const fs::path& path);
// A new file that is 0600 from its first byte; kExists when it is there already.
Result<> create_secret(const fs::path& path, std::string_view content);
// All missing parents too; an existing directory is fine. The mode is for those that are made.
Result<> make_directories(const fs::path& path, mode_t mode = 0755);
// Like rm -rf, also for trees whose directories lack the write bit. Absent is fine. Never follows symlinks.
Result<> remove_tree(const fs::path& path);
Result<> rename_file(const fs::path& from, const fs::path& to);
// A clone where the file system can (FICLONE), else a copy that keeps holes. The target is made anew, 0600.
Result<> copy_sparse(const fs::path& from, const fs::path& to);
// Bytes an ordinary user can still write on the file system that holds `path` (or its nearest existing parent).
Result<std::uint64_t> free_space(const fs::path& path);

// A directory that is removed when the object goes. Name: PARENT/prefix.XXXXXX, mode 0700.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> make(const fs::path& parent, std::string_view prefix);
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~TemporaryDirectory();
  const fs::path& path() const { return path_; }
  fs::path release() { return std::exchange(path_, {}); }

 private:
  explicit TemporaryDirectory(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// An exclusive advisory lock (flock) on a file that is made when absent and stays. Released when destroyed or the process ends.
class FileLock {
 public:
  static Result<FileLock> acquire(const fs::path& path);      // waits
  static Result<FileLock> try_acquire(const fs::path& path);  // kExists when held
 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace locki::sys
