// Commits across the border. Out: a pack of what a commit reaches. In: through a quarantine, where everything a hostile
// pack can do is checked before one object or ref of the user's repository changes. Blocking; one at a time per
// repository and branch.
//
// What is in a quarantine is never looked at by a git that could act on it: index-pack, rev-list, cat-file and fsck
// read objects only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "git/repository.h"
#include "sys/file.h"

namespace locki::git {

// Writes a thin pack of everything `want` reaches and none of `haves` does to the descriptor. Haves that are not there
// are left out. The spec is what to run; feed it pack_revisions() and give it the descriptor as its output.
sys::ProcessSpec pack_command(const Repository& repository, int out);
// The input of pack_command(): only haves that the repository has. `boundary`: where the other side's history ends
// (git/shallow.h); what lies behind it is neither sent with `want` nor taken to be there with a have.
Result<std::string> pack_revisions(const Repository& repository, const ObjectId& want,
                                   const std::vector<ObjectId>& haves, const std::vector<ObjectId>& boundary = {});

struct AcceptLimits {
  std::uint64_t max_pack = 4ULL << 30;    // bytes of the pack
  std::uint64_t max_file = 2ULL << 30;    // bytes of one blob
  std::uint64_t max_objects = 2'000'000;  // new objects
  std::size_t max_commits = 100'000;      // new commits
  std::uint64_t max_paths = 1'000'000;    // in one commit's tree
  std::size_t max_message = 1 << 20;      // bytes of one commit object
  std::chrono::milliseconds timeout{600'000};
};

// What the host has already, and has no need to look at again.
struct Known {
  std::vector<ObjectId> commits;
  bool all_refs = false;  // everything that a ref of the repository reaches
};

struct Accepted {
  ObjectId tip;
  std::size_t commits = 0;   // new ones
  bool fast_forward = true;  // false: history was rewritten
};

// One pack on its way in. Destroying it throws everything away.
class Quarantine {
 public:
  static Result<Quarantine> begin(const Repository& repository, AcceptLimits limits = {});

  // The next bytes of the pack. kNoSpace beyond the limit.
  Result<> write(ByteView bytes);
  std::uint64_t size() const { return size_; }

  // index-pack --strict, connectivity, and our own walk over every new commit and tree: names, modes, symlinks, no
  // gitlinks that the branch did not have before. `tip` must be a commit in it (or already here). kProtocol with the
  // reason; nothing was changed.
  Result<> check(const ObjectId& tip, const ObjectId& old_tip);
  // The same for several tips at once.
  Result<> check(const std::vector<ObjectId>& tips, const Known& known);
  // After check(): the objects move into the repository. Still no ref moves.
  Result<> migrate();

  Quarantine(Quarantine&&) = default;
  Quarantine& operator=(Quarantine&&) = default;

 private:
  Quarantine(Repository repository, AcceptLimits limits, sys::TemporaryDirectory directory, sys::Fd pack)
      : repository_(std::move(repository)), limits_(limits), directory_(std::move(directory)), pack_(std::move(pack)) {}
  sys::ProcessSpec command(std::vector<std::string> args) const;

  Repository repository_;
  AcceptLimits limits_;
  sys::TemporaryDirectory directory_;
  sys::Fd pack_;
  std::uint64_t size_ = 0;
  bool checked_ = false;
};

// Moves exactly one ref, if it still has the old value ("" : must not exist). kConflict when it has not, kUnavailable while
// somebody holds its lock; nothing was changed then.
Result<> move_ref(const Repository& repository, std::string_view full_name, const ObjectId& to, const ObjectId& from,
                  std::string_view why);

}  // namespace locki::git
