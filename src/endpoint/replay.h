// Commits of the agent's put on top of the user's, without a working tree: each is merged with what it is put on, from its own parent as the
// base, which is what a cherry-pick does; author, committer, dates, message and encoding stay. Blocking; one thread.
#pragma once

#include <cstdint>
#include <string>

#include "endpoint/repository.h"

namespace locki::endpoint {

class Replay {
 public:
  Replay(const Repository& repository, std::string onto) : repository_(&repository), onto_(std::move(onto)), tip_(onto_) {}

  // Puts what `to` reaches and `from` does not on top; commits that the user's side has anyway are left out, as are those that change nothing
  // there any more. May be called again for what came meanwhile: `from` is then the last `to`. kConflict: one does not apply; says which and
  // why. After an error it is of no more use.
  Result<> add(const std::string& from, const std::string& to);

  const std::string& tip() const { return tip_; }
  const std::string& taken_up_to() const { return taken_; }  // the last `to`; "": none yet
  std::uint32_t count() const { return count_; }             // that are on top

 private:
  Result<> pick(const std::string& commit, const std::string& parent, const std::string& raw);
  // History with merges in it is not taken apart: one more merge brings both together.
  Result<> join(const std::string& commit);
  struct Merged {
    std::string tree, conflicts;  // conflicts: "" where it worked
  };
  Result<Merged> merge(const std::string& one, const std::string& other) const;

  const Repository* repository_;
  std::string onto_, tip_, taken_;
  std::uint32_t count_ = 0;
};

// A commit object's bytes with another tree and parent, without a signature, which would no longer be one. "" when it has no such header.
std::string rewritten_commit(std::string_view raw, const std::string& tree, const std::string& parent);

}  // namespace locki::endpoint
