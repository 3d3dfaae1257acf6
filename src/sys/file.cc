#include "sys/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/hash.h"

namespace locki::sys {

Result<Fd> open_file(const fs::path& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno(errno, "cannot open " + printable(path.native()));
  return Fd(fd);
}

Result<std::string> read_file(const fs::path& path, std::size_t limit) {
  TRY_ASSIGN(Fd fd, open_file(path, O_RDONLY));
  return context(read_all(fd.get(), limit), "reading " + printable(path.native()));
}

Result<> write_file(const fs::path& path, std::string_view content, mode_t mode) {
  const fs::path beside = fmt::format("{}.{}.tmp", path.native(), random_hex(6));
  const auto write = [&]() -> Result<> {
    TRY_ASSIGN(Fd fd, open_file(beside, O_WRONLY | O_CREAT | O_EXCL, mode));
    TRY(write_all(fd.get(), content));
    if (::fsync(fd.get()) != 0) return fail_errno(errno, "cannot sync " + printable(beside.native()));
    TRY(rename_file(beside, path));
    // Else it is the name that the power takes away.
    return sync_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
  };
  auto result = write();
  if (!result) ::unlink(beside.c_str());
  return context(std::move(result), "writing " + printable(path.native()));
}

Result<> sync_directory(const fs::path& path) {
  TRY_ASSIGN(const Fd directory, open_file(path, O_RDONLY | O_DIRECTORY));
  // Some file systems have nothing to do for it, and say so.
  if (::fsync(directory.get()) != 0 && errno != EINVAL) return fail_errno(errno, "cannot sync " + printable(path.native()));
  return {};
}

Result<> create_secret(const fs::path& path, std::string_view content) {
  TRY_ASSIGN(Fd fd, open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(write_all(fd.get(), content));
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "cannot sync " + printable(path.native()));
  return {};
}

Result<> make_directories(const fs::path& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  const int failed = errno;
  struct stat st {};
  if (failed == EEXIST && ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return {};
  if (failed == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    TRY(make_directories(path.parent_path(), mode));
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
    return fail_errno(errno, "cannot make the directory " + printable(path.native()));
  }
  return fail_errno(failed, "cannot make the directory " + printable(path.native()));
}

namespace {

Result<> remove_at(int parent, const char* name, const std::string& shown);

Result<> empty_directory(int dir, const std::string& shown) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/self/fd/{}", dir), error)) {
    const std::string name = entry.path().filename();
    TRY(remove_at(dir, name.c_str(), shown + "/" + name));
  }
  if (error) return fail(ErrorKind::kFailed, "cannot list " + printable(shown) + ": " + error.message());
  return {};
}

Result<> remove_at(int parent, const char* name, const std::string& shown) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM && errno != EACCES) return fail_errno(errno, "cannot remove " + printable(shown));
  Fd dir(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) {
    // A directory that its owner may not read: open it up once.
    if (errno != EACCES || ::fchmodat(parent, name, 0700, 0) != 0) return fail_errno(errno, "cannot remove " + printable(shown));
    dir.reset(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) return fail_errno(errno, "cannot remove " + printable(shown));
  }
  ::fchmod(dir.get(), 0700);
  TRY(empty_directory(dir.get(), shown));
  if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno(errno, "cannot remove " + printable(shown));
  return {};
}

}  // namespace

Result<> remove_tree(const fs::path& path) { return remove_at(AT_FDCWD, path.c_str(), path.native()); }

Result<> rename_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return fail_errno(errno, fmt::format("cannot rename {} to {}", printable(from.native()), printable(to.native())));
  }
  return {};
}

namespace {

// Between two file systems copy_file_range(2) may refuse (EXDEV, and others by kernel and file system); `across` is set then.
ssize_t copy_some(int in, int out, off_t& position, std::size_t size, bool& across) {
  if (!across) {
    off_t out_position = position;
    const ssize_t n = ::copy_file_range(in, &position, out, &out_position, size, 0);
    if (n >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)) return n;
    across = true;
  }
  if (::lseek(out, position, SEEK_SET) < 0) return -1;
  return ::sendfile(out, in, &position, size);
}

}  // namespace

Result<> copy_sparse(const fs::path& from, const fs::path& to) {
  TRY_ASSIGN(Fd in, open_file(from, O_RDONLY));
  ::unlink(to.c_str());
  TRY_ASSIGN(Fd out, open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (::ioctl(out.get(), FICLONE, in.get()) == 0) return {};
  struct stat st {};
  if (::fstat(in.get(), &st) != 0) return fail_errno(errno, "cannot stat " + printable(from.native()));
  if (::ftruncate(out.get(), st.st_size) != 0) return fail_errno(errno, "cannot size " + printable(to.native()));
  off_t position = 0;
  bool across = false;
  while (position < st.st_size) {
    off_t data = ::lseek(in.get(), position, SEEK_DATA);
    if (data < 0) {
      if (errno == ENXIO) break;  // a hole until the end
      return fail_errno(errno, "cannot read " + printable(from.native()));
    }
    const off_t end = ::lseek(in.get(), data, SEEK_HOLE);
    while (data < end) {
      const ssize_t n = copy_some(in.get(), out.get(), data, static_cast<std::size_t>(end - data), across);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return fail_errno(n == 0 ? EIO : errno, "cannot copy " + printable(from.native()));
    }
    position = end;
  }
  return {};
}

Result<std::uint64_t> free_space(const fs::path& path) {
  fs::path at = path;
  struct statvfs st {};
  while (::statvfs(at.c_str(), &st) != 0) {
    if (errno != ENOENT || !at.has_parent_path() || at.parent_path() == at) return fail_errno(errno, "cannot see the free space of " + printable(path.native()));
    at = at.parent_path();
  }
  return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
}

Result<TemporaryDirectory> TemporaryDirectory::make(const fs::path& parent, std::string_view prefix) {
  std::string path = fmt::format("{}/{}.XXXXXX", parent.native(), prefix);
  if (::mkdtemp(path.data()) == nullptr) return fail_errno(errno, "cannot make a directory in " + printable(parent.native()));
  return TemporaryDirectory(path);
}

TemporaryDirectory::~TemporaryDirectory() {
  if (!path_.empty()) (void)remove_tree(path_);
}

namespace {
Result<Fd> lock_file(const fs::path& path, int operation) {
  TRY_ASSIGN(Fd fd, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  while (::flock(fd.get(), operation) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return fail(ErrorKind::kExists, "another process holds " + printable(path.native()));
    return fail_errno(errno, "cannot lock " + printable(path.native()));
  }
  return fd;
}
}  // namespace

Result<FileLock> FileLock::acquire(const fs::path& path) {
  TRY_ASSIGN(Fd fd, lock_file(path, LOCK_EX));
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::try_acquire(const fs::path& path) {
  TRY_ASSIGN(Fd fd, lock_file(path, LOCK_EX | LOCK_NB));
  return FileLock(std::move(fd));
}

}  // namespace locki::sys
