#include "mirror/staging.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/hash.h"
#include "base/log.h"
#include "base/path_rules.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;
using sys::Directory;
using Spot = sys::Directory::Spot;

constexpr std::string_view kNew = "new-", kOld = "old-";
constexpr mode_t kPrivate = 0700;
constexpr std::size_t kMaxSaved = 100;
constexpr std::size_t kMaxRefused = 10'000;
constexpr std::size_t kMaxLeftovers = 100'000;  // there are a few; more than this is somebody's mischief

// In a directory that is shared, somebody else may have been there first.
Result<Directory> open_own(const fs::path& path) {
  TRY_ASSIGN(Directory directory, Directory::open(path));
  TRY_ASSIGN(const sys::FileStat stat, directory.stat_self());
  if (stat.uid != ::geteuid()) return fail(ErrorKind::kPermission, "'" + printable(path.native()) + "' is not ours");
  // Without the set-group-id bit that it may have inherited: files would get that group.
  if ((stat.mode & 07777) != kPrivate && ::fchmod(directory.fd(), kPrivate) != 0)
    return fail_errno(errno, "cannot make '" + printable(path.native()) + "' private");
  return directory;
}

Result<Directory> make_own(const fs::path& path, const Directory& root) {
  auto there = open_own(path);
  if (there || there.error().kind() != ErrorKind::kNotFound) return there;
  // Not where it would be of no use.
  struct stat parent {};
  TRY_ASSIGN(const sys::FileStat top, root.stat_self());
  if (::stat(path.parent_path().c_str(), &parent) != 0 || parent.st_dev != top.dev)
    return fail(ErrorKind::kUnavailable, "'" + printable(path.parent_path().native()) + "' is in another file system");
  if (::mkdir(path.c_str(), kPrivate) != 0 && errno != EEXIST)
    return fail_errno(errno, "cannot make '" + printable(path.native()) + "'");
  return open_own(path);
}

Result<Directory> make_beneath(const std::string& path, const Directory& root) {
  auto there = root.open_directory(path);
  if (there || there.error().kind() != ErrorKind::kNotFound) return there;
  TRY_ASSIGN(const Spot spot, root.spot(path));
  TRY(spot.create_directory(kPrivate));
  TRY_ASSIGN(Directory made, spot.parent.open_directory(spot.name));
  if (::geteuid() == 0) {
    // Whoever owns what is around it can remove it.
    TRY_ASSIGN(const sys::FileStat parent, spot.parent.stat_self());
    if (::fchown(made.fd(), parent.uid, parent.gid) != 0) return fail_errno(errno, "cannot give a directory away");
  }
  return made;
}

Result<Directory> open(const fs::path& path, const Directory& root) {
  return path.is_absolute() ? open_own(path) : root.open_directory(path.native());
}
Result<Directory> make(const fs::path& path, const Directory& root) {
  return path.is_absolute() ? make_own(path, root) : make_beneath(path.native(), root);
}
void remove_if_empty(const fs::path& path, const Directory& root) {
  if (path.is_absolute()) {
    (void)::rmdir(path.c_str());
  } else if (const auto spot = root.spot(path.native())) {
    (void)spot->remove_directory();
  }
}

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&now, &parts) != nullptr) (void)std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return text;
}

// The oldest beyond the bound go.
void bound_saved(const fs::path& saved, const Directory& directory) {
  auto entries = directory.list();
  if (!entries || entries->size() <= kMaxSaved) return;
  std::sort(entries->begin(), entries->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 0; i < entries->size() - kMaxSaved; ++i) (void)sys::remove_tree(saved / (*entries)[i].name);
}

}  // namespace

fs::path staging_beside(const fs::path& root) {
  const fs::path plain = root.has_filename() ? root : root.parent_path();
  if (!plain.has_filename()) return {};
  return plain.parent_path() / ("." + plain.filename().native() + ".locki-staging");
}

void remove_staging_beside(const fs::path& root) {
  const fs::path path = staging_beside(root);
  if (!path.empty() && open_own(path)) (void)::rmdir(path.c_str());
}

Temporary::~Temporary() {
  if (at_) (void)at_->unlink();
}

Result<> Temporary::will_hold_old() {
  if (!at_->name.starts_with(kNew)) return {};
  TRY_ASSIGN(Spot old, at_->beside(std::string(kOld) + at_->name.substr(kNew.size())));
  TRY(at_->rename_new(old));
  at_ = std::move(old);
  return {};
}

Staging::Staging(std::vector<fs::path> directories, fs::path saved)
    : saved_(std::move(saved)), instance_(random_hex(6)) {
  for (fs::path& path : directories)
    if (!path.empty()) places_.push_back({.path = std::move(path)});
}

Result<Temporary> Staging::place(const Directory& root, const Spot& target, Role role) {
  const std::string name = instance_ + "-" + std::to_string(++count_);
  TRY_ASSIGN(const sys::FileStat parent, target.parent.stat_self());
  if (auto directory = directory_for(root, parent))
    return Temporary(Spot{std::move(*directory), std::string(role == Role::kNew ? kNew : kOld) + name});
  TRY_ASSIGN(Spot beside, target.beside(std::string(path_rules::kTemporaryPrefix) + name));
  return Temporary(std::move(beside));
}

std::optional<Directory> Staging::directory_for(const Directory& root, const sys::FileStat& parent) {
  if (refused_.contains({parent.dev, parent.ino})) return std::nullopt;
  for (Place& place : places_) {
    if (place.hopeless) continue;
    auto directory = make(place.path, root);
    if (!directory || !works(place, root, *directory)) continue;
    // A subvolume somewhere in the tree.
    if (const auto stat = directory->stat_self(); !stat || stat->dev != parent.dev) continue;
    return std::move(*directory);
  }
  if (!places_.empty() && !std::exchange(told_, true))
    log::warning("no directory outside of the worktree will do for unfinished files: they lie beside their targets");
  return std::nullopt;
}

bool Staging::works(Place& place, const Directory& root, const Directory& directory) {
  const auto stat = directory.stat_self();
  if (!stat) return false;
  const Identity now{stat->dev, stat->ino};
  if (place.good == now) return true;
  if (!sys::can_move_between(directory, root)) {
    place.hopeless = place.path.is_absolute();
    remove_if_empty(place.path, root);
    return false;
  }
  // What was used until now, in a place that comes later.
  for (Place& other : places_)
    if (&other != &place && std::exchange(other.good, std::nullopt)) remove_if_empty(other.path, root);
  place.good = now;
  return true;
}

void Staging::refuse(const Directory& parent) {
  const auto stat = parent.stat_self();
  if (!stat || refused_.size() >= kMaxRefused) return;
  refused_.insert({stat->dev, stat->ino});
}

std::vector<fs::path> Staging::prepare(const Directory& root) {
  if (const auto stat = root.stat_self()) (void)directory_for(root, *stat);
  std::vector<fs::path> there;
  for (const Place& place : places_)
    if (place.path.is_absolute() && open_own(place.path)) there.push_back(place.path);
  return there;
}

void Staging::sweep(const Directory& root) {
  for (const Place& place : places_)
    if (const auto directory = open(place.path, root)) clear(place, *directory);
}

void Staging::tidy(const Directory& root) {
  for (const Place& place : places_)
    if (open(place.path, root)) remove_if_empty(place.path, root);
}

void Staging::clear(const Place& place, const Directory& directory) {
  const auto entries = directory.list(kMaxLeftovers);
  if (!entries) return;
  for (const sys::DirectoryEntry& entry : *entries) {
    const bool old = entry.name.starts_with(kOld);
    if ((!old && !entry.name.starts_with(kNew)) || entry.name.find(instance_) != std::string::npos) continue;
    const auto spot = directory.spot(entry.name);
    const auto stat = spot ? spot->stat() : Result<sys::FileStat>(tl::unexpected(spot.error()));
    if (!stat) continue;
    // Of a symlink nothing is lost that the history does not have.
    const bool kept = old && !saved_.empty() && !stat->is_symlink();
    if (kept && !save(place, *spot, stat->is_file())) continue;
    if (!kept) (void)spot->unlink();
  }
}

// Mostly it is in the history as well; but somebody may have written it in the moment in which it was replaced.
bool Staging::save(const Place& place, const Spot& leftover, bool is_file) {
  const fs::path name = time_stamp() + "-" + leftover.name.substr(kOld.size());
  auto result = [&]() -> Result<> {
    TRY(sys::make_directories(saved_, kPrivate));
    TRY_ASSIGN(Directory directory, open_own(saved_));
    const Spot to{std::move(directory), name.native()};
    auto moved = leftover.rename_new(to);
    if (!moved && moved.error().kind() == ErrorKind::kUnavailable && is_file && place.path.is_absolute()) {
      TRY(sys::copy_sparse(place.path / leftover.name, saved_ / name));
      moved = leftover.unlink();
    }
    if (moved) bound_saved(saved_, to.parent);
    return moved;
  }();
  const std::string shown = printable((saved_ / name).native());
  if (result) log::warning("a version that was being replaced when the mirror was ended is kept as '{}'", shown);
  else log::warning("cannot keep '{}': {}", shown, result.error().describe());
  return result.has_value();
}

}  // namespace locki::mirror
