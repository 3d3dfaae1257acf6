// Everything that touches a tree a sandbox can influence: a directory handle, and operations on relative paths beneath
// it that never follow a symlink in any component and never leave the tree, whatever is renamed or replaced meanwhile.
//
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV; where the kernel or
// a seccomp filter refuses that call (ENOSYS, EPERM), a walk of openat(O_NOFOLLOW) component by component. Mount points
// inside the tree are not crossed. Move-only; one thread at a time for each object, but any number of objects and
// threads on the same tree.
//
// Paths: relative, '/'-separated, no empty component, no "." or "..", no NUL; anything else is kProtocol. Symlinks in
// the way are reported as kPermission ("is not beneath"), absent things as kNotFound.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

// What lstat says, in the form the callers compare.
struct FileStat {
  std::uint64_t dev = 0, ino = 0, size = 0, links = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  std::uint32_t mode = 0, uid = 0, gid = 0;

  bool is_file() const { return S_ISREG(mode); }
  bool is_directory() const { return S_ISDIR(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
  bool same_object(const FileStat& other) const { return dev == other.dev && ino == other.ino; }
  // The same object, not written since: what a rename changes (ctime) is left out.
  bool same_content(const FileStat& other) const {
    return same_object(other) && size == other.size && mtime_ns == other.mtime_ns && mode == other.mode;
  }
};
FileStat file_stat(const struct stat& raw);

struct OpenedFile {
  Fd fd;
  FileStat stat;  // of the moment in which it was opened
};

struct DirectoryEntry {
  std::string name;
  unsigned char type = 0;  // DT_REG, DT_DIR, DT_LNK, …; DT_UNKNOWN where the file system does not say
};

class Directory {
 public:
  Directory() = default;
  // The root itself. Its path is ours (not the sandbox's), but its last component must not be a symlink.
  static Result<Directory> open(const std::filesystem::path& path);
  explicit Directory(Fd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  // "" is the directory itself, where that makes sense.
  Result<Directory> open_directory(std::string_view path) const;
  // For reading, regular files only (anything else: kPermission). Never blocks on a FIFO, never triggers a device.
  Result<OpenedFile> open_file(std::string_view path) const;
  Result<FileStat> stat(std::string_view path) const;
  // Whether anything has that name, a symlink too. One system call: half of what stat() costs.
  Result<bool> exists(std::string_view path) const;
  Result<FileStat> stat_self() const;
  Result<std::string> read_link(std::string_view path) const;
  // Without "." and "..", in the order of the file system. At most `limit` names, else kNoSpace.
  Result<std::vector<DirectoryEntry>> list(std::size_t limit = 4'000'000) const;
  // Makes what is missing; an existing directory is fine. Gives the handle of the last one.
  Result<Directory> make_directories(std::string_view path, mode_t mode = 0777) const;

  // The directory that holds `path`, and its last component: everything that creates, renames or removes works on such
  // a pair, so that a parent replaced in between does not matter.
  struct Spot;
  Result<Spot> spot(std::string_view path) const;
  // The same, with the missing parents made.
  Result<Spot> make_spot(std::string_view path) const;

 private:
  Fd fd_;
};

// `name` is a single component in `parent`. All calls are one system call each. What moves goes to another place, in the
// same directory or in any other one of the same file system: whoever has both opened them without following anything.
struct Directory::Spot {
  Directory parent;
  std::string name;

  // Another name in the same directory.
  Result<Spot> beside(std::string other_name) const;

  Result<FileStat> stat() const;
  Result<OpenedFile> open_file() const;  // as Directory::open_file
  Result<std::string> read_link() const;
  // A new regular file, for writing (and reading); kExists when the name is taken.
  Result<Fd> create_file(mode_t mode) const;
  Result<> create_symlink(std::string_view target) const;
  Result<> create_directory(mode_t mode) const;
  // kExists when `to` is taken. As the others that move: kUnavailable when it is in another file system.
  Result<> rename_new(const Spot& to) const;
  // Both must exist; afterwards each has the other's name. kUnavailable where the file system cannot. A watcher sees this
  // name go and come, but the other one's come and go.
  Result<> exchange(const Spot& other) const;
  Result<> rename_over(const Spot& to) const;
  Result<> unlink() const;            // not a directory
  Result<> remove_directory() const;  // kExists when it is not empty
};

// Whether what lies in one directory can be moved into the other one by its name, as far as can be told without a trace in
// either: they are in one file system, under one mount.
bool can_move_between(const Directory& one, const Directory& other);

// Relative, bounded, no empty, "." or ".." component, no NUL. What the file names may look like beyond that is the
// mirror's business.
bool is_plain_relative(std::string_view path);

// For tests: never use openat2 from now on (or again).
void force_component_walk(bool on);

}  // namespace locki::sys
