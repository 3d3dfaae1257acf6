#include "sys/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>

#include "base/strings.h"

namespace locki::sys {
namespace {

enum class Method { kUnknown, kOpenat2, kWalk };
std::atomic<Method> g_method{Method::kUnknown};

constexpr std::uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

int raw_openat2(int dirfd, const char* path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = mode;
  how.resolve = kResolve;
  return static_cast<int>(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
}

// A filter may answer EPERM for calls it does not know (old container runtimes do), which is also a real answer to some
// opens: asked once, with an open that cannot be forbidden.
bool have_openat2(int dirfd) {
  Method method = g_method.load(std::memory_order_relaxed);
  if (method == Method::kUnknown) {
    Fd probe(raw_openat2(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
    if (!probe && errno != ENOSYS && errno != EPERM && errno != EINVAL && errno != E2BIG)
      return true;  // no verdict: dirfd is bad
    method = probe ? Method::kOpenat2 : Method::kWalk;
    g_method.store(method, std::memory_order_relaxed);
  }
  return method == Method::kOpenat2;
}

// 0 where the kernel does not know (before 5.8): mounts are crossed there.
std::uint64_t mount_of(int fd) {
  struct statx data {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &data) != 0 || (data.stx_mask & STATX_MNT_ID) == 0) return 0;
  return data.stx_mnt_id;
}

int open_component(int dirfd, const std::string& name, int flags, mode_t mode, std::uint64_t mount) {
  int fd = openat(dirfd, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0) {
    // O_DIRECTORY on a symlink says ENOTDIR here and ELOOP in openat2: callers shall not see a difference.
    const int captured = errno;
    struct stat there {};
    const bool link =
        captured == ENOTDIR && fstatat(dirfd, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(there.st_mode);
    errno = link ? ELOOP : captured;
    return -1;
  }
  // O_PATH | O_NOFOLLOW opens a symlink itself, and O_CREAT never meets a mount point.
  int refused = 0;
  struct stat data {};
  if ((flags & O_PATH) != 0 && fstat(fd, &data) == 0 && S_ISLNK(data.st_mode)) refused = ELOOP;
  if ((flags & O_CREAT) == 0 && mount != 0 && mount_of(fd) != mount) refused = EXDEV;
  if (refused != 0) {
    close(fd);
    errno = refused;
    return -1;
  }
  return fd;
}

// The path has been checked to be plain: components are names, never "..".
int walk(int dirfd, std::string_view path, int flags, mode_t mode) {
  const std::uint64_t mount = mount_of(dirfd);
  Fd current;
  while (true) {
    const std::size_t slash = path.find('/');
    const int from = current ? current.get() : dirfd;
    if (slash == std::string_view::npos) return open_component(from, std::string(path), flags, mode, mount);
    Fd next(open_component(from, std::string(path.substr(0, slash)), O_PATH | O_DIRECTORY, 0, mount));
    if (!next) return -1;
    current = std::move(next);
    path.remove_prefix(slash + 1);
  }
}

std::string shown(std::string_view path) { return "'" + printable(path) + "'"; }

tl::unexpected<Error> refuse(int captured, std::string_view verb, std::string_view path) {
  const std::string what = "cannot " + std::string(verb) + " " + shown(path);
  switch (captured) {
    case ELOOP:
    case EXDEV:
      return fail(ErrorKind::kPermission,
                  what + ": it is not beneath the directory (a symlink or a mount is in the way)");
    case ENOTDIR:  // a file where a directory would have to be: what was asked for cannot be there
      return fail(ErrorKind::kNotFound, what + ": a part of the path is not a directory");
    default:
      return fail_errno(captured, what);
  }
}

// Of two opened directories: nothing can be in the way, but they may lie in two file systems.
tl::unexpected<Error> refuse_move(int captured, std::string_view verb, std::string_view name) {
  if (captured != EXDEV) return refuse(captured, verb, name);
  return fail(ErrorKind::kUnavailable,
              "cannot " + std::string(verb) + " " + shown(name) + ": it is in another file system");
}

Result<> check_plain(std::string_view path) {
  if (is_plain_relative(path)) return {};
  return fail(ErrorKind::kProtocol, "not a plain relative path: " + shown(path));
}

Result<> check_component(std::string_view name) {
  if (name.find('/') == std::string_view::npos && is_plain_relative(name)) return {};
  return fail(ErrorKind::kProtocol, "not a plain file name: " + shown(name));
}

Result<Fd> open_beneath(int dirfd, std::string_view path, int flags, mode_t mode, std::string_view verb) {
  TRY(check_plain(path));
  const std::string terminated(path);
  for (int attempt = 0;; ++attempt) {
    const int fd = have_openat2(dirfd) ? raw_openat2(dirfd, terminated.c_str(), flags | O_CLOEXEC, mode)
                                       : walk(dirfd, path, flags, mode);
    if (fd >= 0) return Fd(fd);
    // EAGAIN: the kernel could not rule out an escape because something was being renamed meanwhile.
    if ((errno == EINTR || errno == EAGAIN) && attempt < 64) continue;
    return refuse(errno, verb, path);
  }
}

Result<OpenedFile> open_regular(int dirfd, std::string_view path) {
  TRY_ASSIGN(Fd fd, open_beneath(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, "open"));
  struct stat data {};
  if (fstat(fd.get(), &data) != 0) return fail_errno(errno, "cannot stat " + shown(path));
  if (!S_ISREG(data.st_mode)) return fail(ErrorKind::kPermission, shown(path) + " is not a regular file");
  return OpenedFile{std::move(fd), file_stat(data)};
}

std::pair<std::string_view, std::string_view> split_last(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

void force_component_walk(bool on) { g_method.store(on ? Method::kWalk : Method::kUnknown); }

bool is_plain_relative(std::string_view path) {
  if (path.empty() || path.size() >= PATH_MAX || path.find('\0') != std::string_view::npos) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

FileStat file_stat(const struct stat& raw) {
  const auto ns = [](const timespec& t) { return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {.dev = raw.st_dev,
          .ino = raw.st_ino,
          .size = static_cast<std::uint64_t>(raw.st_size),
          .links = raw.st_nlink,
          .mtime_ns = ns(raw.st_mtim),
          .ctime_ns = ns(raw.st_ctim),
          .mode = raw.st_mode,
          .uid = raw.st_uid,
          .gid = raw.st_gid};
}

Result<Directory> Directory::open(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open the directory " + shown(path.native()));
  return Directory(std::move(fd));
}

Result<Directory> Directory::open_directory(std::string_view path) const {
  if (path.empty()) {
    Fd fd(openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail_errno(errno, "cannot open the directory again");
    return Directory(std::move(fd));
  }
  TRY_ASSIGN(Fd fd, open_beneath(fd_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, "open the directory"));
  return Directory(std::move(fd));
}

Result<OpenedFile> Directory::open_file(std::string_view path) const { return open_regular(fd_.get(), path); }

Result<FileStat> Directory::stat(std::string_view path) const {
  if (path.empty()) return stat_self();
  TRY_ASSIGN(Spot at, spot(path));
  return at.stat();
}

Result<bool> Directory::exists(std::string_view path) const {
  const auto found = open_beneath(fd_.get(), path, O_PATH | O_NOFOLLOW, 0, "look for");
  if (found) return true;
  // Where the walk stands in for openat2, a symlink as the last component is refused.
  if (found.error().kind() == ErrorKind::kPermission) {
    if (const auto at = spot(path); at && at->stat()) return true;
  }
  if (found.error().kind() == ErrorKind::kNotFound) return false;
  return fail(std::move(found).error());
}

Result<FileStat> Directory::stat_self() const {
  struct stat data {};
  if (fstat(fd_.get(), &data) != 0) return fail_errno(errno, "cannot stat the directory");
  return file_stat(data);
}

Result<std::string> Directory::read_link(std::string_view path) const {
  TRY_ASSIGN(Spot at, spot(path));
  return at.read_link();
}

Result<std::vector<DirectoryEntry>> Directory::list(std::size_t limit) const {
  const int again = openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return fail_errno(errno, "cannot open a directory for listing");
  DIR* dir = fdopendir(again);
  if (dir == nullptr) {
    const int captured = errno;
    close(again);
    return fail_errno(captured, "cannot list a directory");
  }
  std::vector<DirectoryEntry> entries;
  int captured = 0;
  while (true) {
    errno = 0;
    const dirent* item = readdir(dir);
    if (item == nullptr) {
      captured = errno;
      break;
    }
    const std::string_view name = item->d_name;
    if (name == "." || name == "..") continue;
    if (entries.size() == limit) {
      captured = ENOSPC;
      break;
    }
    entries.push_back({std::string(name), item->d_type});
  }
  closedir(dir);
  if (captured == ENOSPC)
    return fail(ErrorKind::kNoSpace, "a directory holds more than " + std::to_string(limit) + " names");
  if (captured != 0) return fail_errno(captured, "cannot list a directory");
  return entries;
}

Result<Directory> Directory::make_directories(std::string_view path, mode_t mode) const {
  if (path.empty()) return open_directory("");
  TRY(check_plain(path));
  Directory current;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    const Directory& from = current ? current : *this;
    // Opening first: an existing directory needs no right to write in its parent.
    auto next = from.open_directory(name);
    if (!next && next.error().kind() == ErrorKind::kNotFound) {
      if (mkdirat(from.fd(), name.c_str(), mode) != 0 && errno != EEXIST)
        return refuse(errno, "make the directory", name);
      next = from.open_directory(name);
    }
    if (!next) return fail(std::move(next).error());
    current = std::move(*next);
    if (slash == std::string_view::npos) return current;
    path.remove_prefix(slash + 1);
  }
}

Result<Directory::Spot> Directory::spot(std::string_view path) const {
  TRY(check_plain(path));
  const auto [parent, name] = split_last(path);
  TRY_ASSIGN(Directory directory, open_directory(parent));
  return Spot{std::move(directory), std::string(name)};
}

Result<Directory::Spot> Directory::make_spot(std::string_view path) const {
  TRY(check_plain(path));
  const auto [parent, name] = split_last(path);
  auto directory = open_directory(parent);  // mostly it is there
  if (!directory && directory.error().kind() == ErrorKind::kNotFound) directory = make_directories(parent);
  if (!directory) return fail(std::move(directory).error());
  return Spot{std::move(*directory), std::string(name)};
}

Result<FileStat> Directory::Spot::stat() const {
  struct stat data {};
  if (fstatat(parent.fd(), name.c_str(), &data, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
    return refuse(errno, "stat", name);
  return file_stat(data);
}

Result<OpenedFile> Directory::Spot::open_file() const { return open_regular(parent.fd(), name); }

Result<std::string> Directory::Spot::read_link() const {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = readlinkat(parent.fd(), name.c_str(), target.data(), target.size());
  if (size < 0) return refuse(errno, "read the symlink", name);
  target.resize(static_cast<std::size_t>(size));
  return target;
}

Result<Directory::Spot> Directory::Spot::beside(std::string other_name) const {
  TRY_ASSIGN(Directory again, parent.open_directory(""));
  return Spot{std::move(again), std::move(other_name)};
}

Result<Fd> Directory::Spot::create_file(mode_t mode) const {
  TRY(check_component(name));
  return open_beneath(parent.fd(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode, "create");
}

Result<> Directory::Spot::create_symlink(std::string_view target) const {
  TRY(check_component(name));
  if (symlinkat(std::string(target).c_str(), parent.fd(), name.c_str()) != 0)
    return refuse(errno, "create the symlink", name);
  return {};
}

Result<> Directory::Spot::create_directory(mode_t mode) const {
  TRY(check_component(name));
  if (mkdirat(parent.fd(), name.c_str(), mode) != 0) return refuse(errno, "make the directory", name);
  return {};
}

Result<> Directory::Spot::rename_new(const Spot& to) const {
  TRY(check_component(name));
  TRY(check_component(to.name));
  if (renameat2(parent.fd(), name.c_str(), to.parent.fd(), to.name.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL) return refuse_move(errno, "rename to", to.name);
  // A file system without RENAME_NOREPLACE (some network ones). A hard link refuses an existing name as well, for what
  // is not a directory.
  if (linkat(parent.fd(), name.c_str(), to.parent.fd(), to.name.c_str(), 0) != 0)
    return refuse_move(errno, "link to", to.name);
  return unlink();
}

Result<> Directory::Spot::exchange(const Spot& other) const {
  TRY(check_component(name));
  TRY(check_component(other.name));
  if (renameat2(parent.fd(), name.c_str(), other.parent.fd(), other.name.c_str(), RENAME_EXCHANGE) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS)
    return fail(ErrorKind::kUnavailable, "the file system cannot exchange two names");
  return refuse_move(errno, "exchange", name);
}

Result<> Directory::Spot::rename_over(const Spot& to) const {
  TRY(check_component(name));
  TRY(check_component(to.name));
  if (renameat(parent.fd(), name.c_str(), to.parent.fd(), to.name.c_str()) != 0)
    return refuse_move(errno, "rename to", to.name);
  return {};
}

Result<> Directory::Spot::unlink() const {
  TRY(check_component(name));
  if (unlinkat(parent.fd(), name.c_str(), 0) != 0) return refuse(errno, "remove", name);
  return {};
}

Result<> Directory::Spot::remove_directory() const {
  TRY(check_component(name));
  if (unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR) == 0) return {};
  if (errno == ENOTEMPTY || errno == EEXIST)
    return fail(ErrorKind::kExists, "the directory " + shown(name) + " is not empty");
  return refuse(errno, "remove the directory", name);
}

bool can_move_between(const Directory& one, const Directory& other) {
  // btrfs' subvolumes are file systems of their own under one mount.
  const auto here = one.stat_self();
  const auto there = other.stat_self();
  if (!here || !there || here->dev != there->dev) return false;
  // renameat2(2) compares the mounts first (a bind mount is another one), and then refuses "." before it looks for either
  // name (do_renameat2() in fs/namei.c): EXDEV or EEXIST, and nothing was touched.
  return renameat2(one.fd(), "none", other.fd(), ".", RENAME_NOREPLACE) != 0 && (errno == EEXIST || errno == EBUSY);
}

}  // namespace locki::sys
