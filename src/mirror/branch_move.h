// A branch and the index of the worktree that has it checked out move as one step to everybody else: the new index is prepared beside the old
// one, git's own index.lock is held from before the branch moves until the new index is in place, and nothing moves in the middle of a merge
// and the like. Both ends do it this way: a git that reads the branch and its index one after the other would otherwise meet the one new and
// the other old, and its next commit would undo what had come. Blocking, some tens of milliseconds; one thread, one mover for each worktree.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/process.h"

namespace locki::mirror {

class BranchMove {
 public:
  using Command = std::function<sys::ProcessSpec(std::vector<std::string> args)>;
  // `git`: what to run for a git in the worktree; `git_dir`: that worktree's own, where its index is; `branch`: short name.
  BranchMove(Command git, std::filesystem::path git_dir, std::string branch);

  struct Moved {
    std::string lost;     // what was staged and could not stay, for people; "": nothing
    bool behind = false;  // the branch has moved, its index could not: follow() again
  };
  struct Hooks {
    std::function<Result<>()> note;  // just before the lock is taken: the move is written down, for whoever comes after a kill
    std::function<Result<>()> move;  // moves the ref, if it is still at `from`
  };
  // `from`: where the branch is, "" for an unborn one. kUnavailable: somebody holds the index's lock, or is in the middle of something: nothing
  // was changed, again in a moment. Any other error is one of `hooks`, or git's: nothing was changed either. While another branch is checked
  // out only the ref moves.
  Result<Moved> move(const std::string& from, const std::string& to, const Hooks& hooks) const;
  // The index alone, of a branch that has moved already.
  Result<Moved> follow(const std::string& from, const std::string& to) const { return move(from, to, {}); }

  // What a killed predecessor left in the middle of a move. `moved`: its branch is where it was to be. The lock was held all the time, so what
  // was prepared is still right then.
  void take_over(bool moved) const;

  // In the middle of what somebody is here ("a merge"); "": nothing.
  std::string under_way() const;

 private:
  class Prepared;
  Result<bool> checked_out() const;
  Result<Prepared> prepare(const std::string& from, const std::string& to) const;
  Result<> read_tree(const std::filesystem::path& index, std::vector<std::string> args) const;
  std::string head() const;
  std::filesystem::path lock_file() const { return git_dir_ / "index.lock"; }

  Command git_;
  std::filesystem::path git_dir_;
  std::string branch_;
};

}  // namespace locki::mirror
