#include "vm/qemu/jail/tree.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vm/qemu/jail/report.h"

namespace jail {

namespace {

constexpr std::size_t kMaxSecret = 64 << 10;

// A detached mount of one file or directory. mount_setattr() only adds restrictions: flags that the host's mount has stay, as the
// kernel demands in a user namespace. Children of the mount are not taken along.
int detached(const std::string& path, std::uint64_t attributes, mode_t kind) {
  const int fd = ::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) die(errno, "cannot bind ", path.c_str());
  struct stat status {};
  if (::fstat(fd, &status) != 0) die(errno, "cannot examine ", path.c_str());
  if ((status.st_mode & S_IFMT) != kind) die(EINVAL, "of the wrong kind: ", path.c_str());
  mount_attr attr{};
  attr.attr_set = attributes;
  if (::mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0) die(errno, "cannot restrict ", path.c_str());
  return fd;
}

void attach(int tree, const std::string& at) {
  if (::move_mount(tree, "", AT_FDCWD, at.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) die(errno, "cannot mount /", at.c_str());
}

void mount_tmpfs(const char* at, const char* options) {
  if (::mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) die(errno, "cannot mount /", at);
}

void make_read_only(const char* at) {
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(AT_FDCWD, at, 0, &attr, sizeof attr) != 0) die(errno, "cannot make read-only: /", at);
}

// An empty file to mount on.
void make_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) die(errno, "cannot make /", path.c_str());
  ::close(fd);
}

void bind_device(const std::string& name) {
  make_file("dev/" + name);
  attach(detached("/dev/" + name, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, S_IFCHR), "dev/" + name);
}

void write_secret(const Secret& secret) {
  const std::string path = "run/" + secret.name;
  const int out = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out < 0) die(errno, "cannot make /", path.c_str());
  static std::array<char, kMaxSecret> buffer;
  std::size_t total = 0;
  for (;;) {
    const ssize_t n = ::read(secret.fd, buffer.data() + total, buffer.size() - total);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) die(errno, "cannot read the secret ", secret.name.c_str());
    if (n == 0) break;
    total += static_cast<std::size_t>(n);
    if (total == buffer.size()) die(EFBIG, "cannot take the secret ", secret.name.c_str());
  }
  if (::write(out, buffer.data(), total) != static_cast<ssize_t>(total)) die(errno, "cannot write /", path.c_str());
  ::explicit_bzero(buffer.data(), total);
  ::close(out);
  ::close(secret.fd);
}

}  // namespace

void move_into_room(const Options& options) {
  // Nothing mounted here is seen outside, and nothing mounted outside later is seen here.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die(errno, "cannot make the mounts private");
  const int root = detached(options.root, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, S_IFDIR);
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;  // the user may have moved the cache elsewhere
  if (::move_mount(root, "", AT_FDCWD, options.root.c_str(), flags) != 0) die(errno, "cannot mount on ", options.root.c_str());
  if (::fchdir(root) != 0) die(errno, "cannot enter ", options.root.c_str());
  ::close(root);

  mount_tmpfs("tmp", "size=16m,nr_inodes=1024,mode=0700");
  mount_tmpfs("run", "size=16m,nr_inodes=1024,mode=0700");
  for (const Secret& secret : options.secrets) write_secret(secret);

  mount_tmpfs("dev", "size=64k,nr_inodes=16,mode=0755");
  for (const char* name : {"null", "zero", "urandom"}) bind_device(name);
  if (options.kvm) bind_device("kvm");
  make_read_only("dev");

  mount_tmpfs("disks", "size=64k,nr_inodes=64,mode=0755");
  for (const File& file : options.files) {
    const std::string at = "disks/" + file.name;
    make_file(at);
    const std::uint64_t read_only = file.writable ? 0 : MOUNT_ATTR_RDONLY;
    attach(detached(file.path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | read_only, S_IFREG), at);
  }
  make_read_only("disks");

  // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one and is detached from there.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) die(errno, "cannot change the root");
  if (::umount2(".", MNT_DETACH) != 0) die(errno, "cannot detach the old root");
  if (::chdir("/") != 0) die(errno, "cannot enter the new root");
}

}  // namespace jail
