// Where a tree's half-done things lie: files being written, symlinks before their rename, what was taken from its name and
// is still being looked at. In a directory outside of the working tree, so that no git, watcher or editor there ever meets
// one, and in the same file system, because things come and go by one rename. Owned by one thread; blocking.
//
// The places are tried in their order for every change: inside a sandbox the first one may be gone, or new, at any moment.
// Where none will do, what is half done lies beside its target under a name that is never carried
// (path_rules::kTemporaryPrefix).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sys/beneath.h"

namespace locki::mirror {

// Beside the root, hidden, named after it.
std::filesystem::path staging_beside(const std::filesystem::path& root);
// If it is ours and empty. For who outlives the worker, which may not change the directory that holds the worktree.
void remove_staging_beside(const std::filesystem::path& root);

// Something under a name of ours. Removed with the object, unless it was released.
class Temporary {
 public:
  explicit Temporary(sys::Directory::Spot at) : at_(std::move(at)) {}
  Temporary(Temporary&& other) noexcept : at_(std::exchange(other.at_, std::nullopt)) {}
  Temporary& operator=(Temporary&& other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~Temporary();

  const sys::Directory::Spot& at() const { return *at_; }  // until it is released
  // Before it trades places with what is in the tree: whoever finds it after a kill must know that it may be the user's.
  Result<> will_hold_old();
  // The name is the caller's now, to remove or to leave.
  sys::Directory::Spot release() {
    sys::Directory::Spot spot = std::move(*at_);
    at_.reset();
    return spot;
  }

 private:
  std::optional<sys::Directory::Spot> at_;
};

class Staging {
 public:
  // Absolute directories are ours alone: made when their parent is there, 0700, and used only if they belong to us.
  // Relative ones are beneath the root, where others may do anything to them at any time. `saved`: what of the tree's a
  // killed process had in hand is moved there; empty: it is removed.
  Staging(std::vector<std::filesystem::path> directories, std::filesystem::path saved);

  // What it will be: something new, or what is taken from the tree.
  enum class Role { kNew, kOld };
  // A free name for what comes to, or from, that spot.
  Result<Temporary> place(const sys::Directory& root, const sys::Directory::Spot& target, Role role);
  // Nothing could be moved there after all (quotas and encryption of single directories make borders of their own): from
  // now on what is half done lies beside it.
  void refuse(const sys::Directory& parent);
  // Says which part of our names belongs to this object: others' are left-overs.
  const std::string& instance() const { return instance_; }

  // What a killed process left.
  void sweep(const sys::Directory& root);
  // Removes what is empty.
  void tidy(const sys::Directory& root);
  // Makes the first directory that will do. The absolute ones that are there: who is going to be confined must name them.
  std::vector<std::filesystem::path> prepare(const sys::Directory& root);

 private:
  using Identity = std::pair<std::uint64_t, std::uint64_t>;  // device, inode
  struct Place {
    std::filesystem::path path;
    std::optional<Identity> good;  // nothing stands between this directory and the root
    bool hopeless = false;         // absolute ones do not get any better
  };

  std::optional<sys::Directory> directory_for(const sys::Directory& root, const sys::FileStat& parent);
  bool works(Place& place, const sys::Directory& root, const sys::Directory& directory);
  void clear(const Place& place, const sys::Directory& directory);
  bool save(const Place& place, const sys::Directory::Spot& leftover, bool is_file);

  std::vector<Place> places_;
  std::filesystem::path saved_;
  std::string instance_;
  std::uint64_t count_ = 0;
  std::set<Identity> refused_;
  bool told_ = false;
};

}  // namespace locki::mirror
