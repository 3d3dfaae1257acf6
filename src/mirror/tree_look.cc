// What is on disk at one path, hashed if need be.
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/path_rules.h"
#include "base/strings.h"
#include "mirror/names.h"
#include "mirror/tree_impl.h"

namespace locki::mirror {
namespace {

constexpr std::size_t kBuffer = 128 << 10;
constexpr int kAttempts = 3;

Found nothing() { return {}; }
Found untravelled(const sys::FileStat& stat, std::string reason) {
  return {.what = Found::What::kUntravelled, .stat = stat, .reason = std::move(reason)};
}
Found unreadable(const sys::FileStat& stat, std::string reason) {
  return {.what = Found::What::kUnreadable, .stat = stat, .reason = std::move(reason)};
}
Found entry(const sys::FileStat& stat, Entry value) {
  return {.what = Found::What::kEntry, .entry = std::move(value), .stat = stat};
}

struct Read {
  sys::FileStat before, after;
  std::uint64_t size = 0;
  Hash content;
};

Result<Read> read_once(const sys::Directory::Spot& spot, std::uint64_t limit) {
  static thread_local const std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[kBuffer]);
  Read result;
  TRY_ASSIGN(const auto file, spot.open_file());
  const sys::Fd& fd = file.fd;
  result.before = file.stat;
  Blake2 hasher;
  while (true) {
    TRY_ASSIGN(const std::size_t got, sys::read_some(fd.get(), buffer.get(), kBuffer));
    if (got == 0) break;
    result.size += got;
    if (result.size > limit) return fail(ErrorKind::kNoSpace, "it is larger than " + human_bytes(limit));
    hasher.update(ByteView(buffer.get(), got));
    // One read gave all there should be: a second one to see the end is only needed when it could have grown.
    if (got < kBuffer && result.size == result.before.size) break;
  }
  struct stat raw {};
  if (fstat(fd.get(), &raw) != 0) return fail_errno(errno, "cannot stat");
  result.after = sys::file_stat(raw);
  result.content = hasher.finish();
  return result;
}

Found look_at_symlink(const sys::Directory::Spot& spot, const std::string& at, const sys::FileStat& stat) {
  const auto target = spot.read_link();
  if (!target) return nothing();
  if (const auto fits = check_symlink(at, *target); !fits) return untravelled(stat, fits.error().message());
  return entry(stat, Entry::symlink(*target));
}

Found look_at_file(Tree::Impl& tree, const sys::Directory::Spot& spot, const std::string& at,
                   const sys::FileStat& stat) {
  if ((stat.mode & (S_ISUID | S_ISGID)) != 0) return untravelled(stat, "it is set-user-id or set-group-id");
  // What was carried before it grew stays: leaving it out would delete it on the other side.
  const std::string too_large = "it is larger than " + human_bytes(tree.options.max_file);
  if (stat.size > tree.options.max_file) return unreadable(stat, too_large);
  const bool executable = (stat.mode & 0111) != 0;
  if (const Hash* known = tree.cache.find(at, stat)) return entry(stat, Entry::file(stat.size, *known, executable));
  for (int attempt = 1;; ++attempt) {
    const std::int64_t now = wall_clock_ns();
    const auto read = read_once(spot, tree.options.max_file);
    if (!read) {
      if (read.error().kind() == ErrorKind::kNotFound) return nothing();
      return unreadable(stat, read.error().message());
    }
    const bool steady = read->size == read->after.size && read->before.same_content(read->after);
    // A file that is written all the time (a log) is taken as it was read: the next change is coming anyway.
    if (!steady && attempt < kAttempts) continue;
    if (steady) {
      tree.cache.put(at, read->after, read->content, now);
      tree.cache_dirty = true;
    }
    return entry(read->after, Entry::file(read->size, read->content, (read->after.mode & 0111) != 0));
  }
}

}  // namespace

Found Tree::Impl::look(const sys::Directory::Spot& spot, const std::string& at) {
  const auto stat = spot.stat();
  if (!stat) {
    if (stat.error().kind() == ErrorKind::kNotFound) return nothing();
    return unreadable({}, stat.error().message());
  }
  if (stat->is_file()) return look_at_file(*this, spot, at, *stat);
  if (stat->is_directory()) return entry(*stat, Entry::directory());
  if (stat->is_symlink()) return look_at_symlink(spot, at, *stat);
  if (S_ISFIFO(stat->mode)) return untravelled(*stat, "it is a FIFO");
  if (S_ISSOCK(stat->mode)) return untravelled(*stat, "it is a socket");
  return untravelled(*stat, "it is a device");
}

}  // namespace locki::mirror
