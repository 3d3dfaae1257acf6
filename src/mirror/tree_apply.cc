// Changing a tree under preconditions: what is checked before, and the three kinds. How one thing takes another's name is
// in tree_move.cc.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/strings.h"
#include "mirror/names.h"
#include "mirror/tree_impl.h"
#include "mirror/tree_move.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

using Spot = sys::Directory::Spot;

// What stops an apply before anything is touched.
Result<> check_target(Tree::Impl& tree, std::string_view path, const Entry& entry) {
  TRY(check_path(path));
  if (entry.kind == EntryKind::kSymlink) {
    TRY(check_symlink(path, entry.target));
    if (entry != Entry::symlink(entry.target))
      return fail(ErrorKind::kProtocol, "the symlink's size or hash does not fit its target");
  }
  if (tree.is_excluded(path)) return fail(ErrorKind::kPermission, "'" + printable(path) + "' is excluded on this side");
  if (!tree.alive()) return fail(ErrorKind::kUnavailable, "the worktree's directory was moved or deleted");
  for (std::string_view up = parent_of(path); !up.empty(); up = parent_of(up)) {
    const auto inner = tree.root.exists(std::string(up) + "/.git");
    if (inner && *inner) return fail(ErrorKind::kPermission, "'" + printable(up) + "' is a repository of its own");
  }
  return {};
}

// Looks at what is there and compares. `found` is what a replacement must still meet. nullopt: go on.
std::optional<Outcome> check_expected(Tree::Impl& tree, const Spot& spot, const std::string& at,
                                      const std::optional<Entry>& expected, const std::optional<Entry>& wanted,
                                      Found& found) {
  found = tree.look(spot, at);
  if (found.what == Found::What::kUnreadable || found.what == Found::What::kUntravelled)
    return failed("'" + printable(at) + "' is in the way: " + found.reason);
  std::optional<Entry> actual;
  if (found.what == Found::What::kEntry) actual = found.entry;
  if (actual && wanted && *actual == *wanted) {
    tree.record(at, actual);
    return applied();
  }
  if (!actual && !wanted) {
    tree.record(at, std::nullopt);
    return applied();
  }
  if (actual == expected) return std::nullopt;
  // What is there and does not travel belongs to this side alone: not even its hash goes out.
  if (actual && !tree.is_agreed(at) && tree.options.hold_ignored && tree.is_in_ignored(at))
    return failed("'" + printable(at) + "' exists on this side and git ignores it");
  return conflict(std::move(actual), std::string(kChanged));
}

// Mode and owner of a new file: those of what it replaces, but for the executable bit; else the umask's, and as root
// the parent's owner. The group of a directory that hands it on: the kernel gave the file the one of where it was made.
Result<> dress(int fd, const Spot& spot, const Found& found, bool executable) {
  struct stat raw {};
  if (fstat(fd, &raw) != 0) return fail_errno(errno, "cannot stat the new file");
  const bool replaces = found.what == Found::What::kEntry && found.entry.kind == EntryKind::kFile;
  mode_t mode = raw.st_mode & 0777;
  if (replaces) mode = found.stat.mode & 0777;
  // Executable for those who may read it.
  mode = executable ? mode | ((mode & 0444) >> 2) : mode & ~mode_t{0111};
  if (executable) mode |= 0100;
  TRY_ASSIGN(const sys::FileStat parent, spot.parent.stat_self());
  if (geteuid() != 0) {
    // Not everybody who may write there is of that group.
    const bool hands_on = (parent.mode & S_ISGID) != 0 && parent.gid != raw.st_gid;
    if (hands_on && fchown(fd, static_cast<uid_t>(-1), parent.gid) != 0 && errno != EPERM)
      return fail_errno(errno, "cannot set the new file's group");
  } else {
    const uid_t uid = replaces ? found.stat.uid : parent.uid;
    const gid_t gid = replaces ? found.stat.gid : parent.gid;
    if ((uid != raw.st_uid || gid != raw.st_gid) && fchown(fd, uid, gid) != 0)
      return fail_errno(errno, "cannot set the new file's owner");
  }
  if (mode != (raw.st_mode & 07777) && fchmod(fd, mode) != 0)
    return fail_errno(errno, "cannot set the new file's mode");
  return {};
}

}  // namespace

void Tree::Impl::record(const std::string& at, const std::optional<Entry>& entry) {
  mirror::record(state, at, entry);
  if (!entry) cache.erase(at);
}

struct FilePut::Impl {
  Tree::Impl* tree = nullptr;
  std::string at;
  Entry entry;
  std::optional<Entry> expected;
  Spot spot;
  std::optional<Temporary> temporary;
  sys::Fd fd;
  Blake2 hasher;
  std::uint64_t written = 0;

  void discard() {
    temporary.reset();
    fd.reset();
  }
};

FilePut::FilePut(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FilePut::FilePut(FilePut&&) noexcept = default;
FilePut& FilePut::operator=(FilePut&&) noexcept = default;
FilePut::~FilePut() = default;

Result<> FilePut::write(ByteView bytes) {
  if (!impl_ || !impl_->fd) return fail(ErrorKind::kFailed, "the file is finished already");
  if (bytes.size() > impl_->entry.size - impl_->written)
    return fail(ErrorKind::kProtocol, "the content is larger than announced");
  TRY(sys::write_all(impl_->fd.get(), bytes));
  impl_->written += bytes.size();
  impl_->hasher.update(bytes);
  return {};
}

Outcome FilePut::commit() {
  if (!impl_ || !impl_->fd) return failed("the file is finished already");
  Impl& put = *impl_;
  Tree::Impl& tree = *put.tree;
  Outcome outcome = [&]() -> Outcome {
    if (put.written != put.entry.size || put.hasher.finish() != put.entry.content)
      return failed("the content is not what was announced");
    Found found;
    if (auto decided = check_expected(tree, put.spot, put.at, put.expected, put.entry, found)) return *decided;
    if (const auto dressed = dress(put.fd.get(), put.spot, found, put.entry.executable); !dressed)
      return failed(dressed.error());
    if (tree.options.fsync && fsync(put.fd.get()) != 0) return failed(errno_error(errno, "cannot flush the new file"));
    struct stat before {};
    struct stat after {};
    if (fstat(put.fd.get(), &before) != 0) return failed(errno_error(errno, "cannot stat the new file"));
    const std::int64_t now = wall_clock_ns();
    sys::fault_point("tree.written");
    if (Outcome moved = move_in(tree, put.spot, put.at, *put.temporary, found); !moved.applied()) return moved;
    if (tree.options.fsync) (void)fsync(put.spot.parent.fd());
    sys::fault_point("tree.placed");
    tree.record(put.at, put.entry);
    tree.cache.erase(put.at);
    // Only if nobody wrote to it since it was hashed.
    if (fstat(put.fd.get(), &after) == 0 && sys::file_stat(before).same_content(sys::file_stat(after))) {
      tree.cache.put(put.at, sys::file_stat(after), put.entry.content, now);
      tree.cache_dirty = true;
    }
    put.fd.reset();
    return applied();
  }();
  put.discard();
  return outcome;
}

Result<FilePut> Tree::begin_file(std::string_view path, const Entry& entry, const std::optional<Entry>& expected) {
  if (entry.kind != EntryKind::kFile) return fail(ErrorKind::kProtocol, "not a file");
  if (entry.size > impl_->options.max_file)
    return fail(ErrorKind::kNoSpace, "it is larger than " + human_bytes(impl_->options.max_file));
  TRY(check_target(*impl_, path, entry));
  auto put = std::make_unique<FilePut::Impl>();
  put->tree = impl_.get();
  put->at = path;
  put->entry = entry;
  put->expected = expected;
  TRY_ASSIGN(put->spot, impl_->root.make_spot(path));
  TRY_ASSIGN(put->temporary, impl_->staging.place(impl_->root, put->spot, Staging::Role::kNew));
  // What replaces a private file is private while it is written; what is new gets the umask's mode right away.
  const auto there = put->spot.stat();
  const mode_t mode = there && there->is_file() ? 0600 : 0666;
  auto created = put->temporary->at().create_file(mode);
  if (!created) {
    put->temporary->release();
    return fail(std::move(created).error());
  }
  put->fd = std::move(*created);
  return FilePut(std::move(put));
}

Outcome Tree::put_file(std::string_view path, const Entry& entry, const ContentSource& content,
                       const std::optional<Entry>& expected) {
  auto put = begin_file(path, entry, expected);
  if (!put) return failed(put.error());
  Bytes buffer(128 << 10);
  while (true) {
    const auto got = content(buffer.data(), buffer.size());
    if (!got) return failed(got.error());
    if (*got == 0) return put->commit();
    if (const auto written = put->write(ByteView(buffer.data(), *got)); !written) return failed(written.error());
  }
}

Outcome Tree::put_directory(std::string_view path, const std::optional<Entry>& expected) {
  const Entry wanted = Entry::directory();
  if (const auto fits = check_target(*impl_, path, wanted); !fits) return failed(fits.error());
  auto spot = impl_->root.make_spot(path);
  if (!spot) return failed(spot.error());
  const std::string at(path);
  Found found;
  if (auto decided = check_expected(*impl_, *spot, at, expected, wanted, found)) return *decided;
  if (found.what == Found::What::kEntry)
    if (Outcome away = take_away(*impl_, *spot, at, found); !away.applied()) return away;
  if (const auto made = spot->create_directory(0777); !made) {
    if (made.error().kind() == ErrorKind::kExists)
      return conflict(look_again(*impl_, *spot, at), std::string(kChanged));
    return failed(made.error());
  }
  sys::fault_point("tree.directory");
  if (geteuid() == 0) {
    const auto parent = spot->parent.stat_self();
    if (!parent || fchownat(spot->parent.fd(), spot->name.c_str(), parent->uid, parent->gid, AT_SYMLINK_NOFOLLOW) != 0)
      return failed("cannot set the owner of '" + printable(at) + "'");
  }
  impl_->record(at, wanted);
  return applied();
}

Outcome Tree::put_symlink(std::string_view path, const Entry& entry, const std::optional<Entry>& expected) {
  if (entry.kind != EntryKind::kSymlink) return failed("not a symlink");
  if (const auto fits = check_target(*impl_, path, entry); !fits) return failed(fits.error());
  auto spot = impl_->root.make_spot(path);
  if (!spot) return failed(spot.error());
  const std::string at(path);
  Found found;
  if (auto decided = check_expected(*impl_, *spot, at, expected, entry, found)) return *decided;
  auto temporary = impl_->staging.place(impl_->root, *spot, Staging::Role::kNew);
  if (!temporary) return failed(temporary.error());
  if (const auto made = temporary->at().create_symlink(entry.target); !made) {
    temporary->release();
    return failed(made.error());
  }
  sys::fault_point("tree.symlink");
  Outcome outcome = move_in(*impl_, *spot, at, *temporary, found);
  if (outcome.applied()) impl_->record(at, entry);
  return outcome;
}

Outcome Tree::remove(std::string_view path, const Entry& expected) {
  if (const auto fits = check_target(*impl_, path, Entry::directory()); !fits) return failed(fits.error());
  const std::string at(path);
  auto spot = impl_->root.spot(path);
  if (!spot) {
    if (spot.error().kind() != ErrorKind::kNotFound) return failed(spot.error());
    impl_->record(at, std::nullopt);
    return applied();
  }
  Found found;
  if (auto decided = check_expected(*impl_, *spot, at, expected, std::nullopt, found)) return *decided;
  Outcome outcome = take_away(*impl_, *spot, at, found);
  sys::fault_point("tree.removed");
  if (outcome.applied()) impl_->record(at, std::nullopt);
  return outcome;
}

}  // namespace locki::mirror
