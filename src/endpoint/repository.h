// The sandbox's own clone, through git's command line. Blocking but for packs, which stream. The agent may do anything
// to the repository at any time: every call may fail, none may damage what is there.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "endpoint/dead_locks.h"
#include "mirror/branch_move.h"
#include "sys/process.h"

namespace locki::endpoint {

struct RepositoryOptions {
  std::string git;   // absolute path
  std::string root;  // the worktree, absolute
  std::string branch;
  std::string object_format = "sha1";
  std::string user_name, user_email;
  std::chrono::milliseconds dead_lock_after{10'000};  // dead_locks.h
};

struct HeadInfo {
  std::string current;  // the branch HEAD names, or its commit when detached; "" when there is no repository
  std::string oid;      // of options.branch; "" when unborn
  std::uint32_t other_refs = 0;
  bool operator==(const HeadInfo&) const = default;
};

// A git that writes a pack to `output`, or reads one from `input`.
struct PackProcess {
  sys::Child child;
  sys::Fd pipe;
  sys::Fd words;  // what it says when it fails (sys::read_words)
};

class Repository {
 public:
  explicit Repository(RepositoryOptions options);

  bool exists() const;
  // Its clone was being made, says the disk (init_clone.h).
  bool unfinished() const;
  // Makes the repository when there is none: the branch, the author, and a remote that says how work gets out. `again`:
  // also when there is something, because making it was cut short.
  Result<> make(bool again = false) const;
  Result<HeadInfo> head() const;

  // Branches besides options.branch, as many as wire::kMaxBranches.
  struct Branch {
    std::string name, oid;
  };
  struct Branches {
    std::vector<Branch> branches;
    std::uint32_t more = 0;  // that did not fit, or have names that are too long
    std::uint32_t stashes = 0;
  };
  Result<Branches> other_branches() const;

  // pack-objects of what `wants` reach and `haves` do not (those of them that exist). kNotFound when one of `wants` is not
  // a commit here.
  Result<PackProcess> start_pack(const std::vector<std::string>& wants, const std::vector<std::string>& haves) const;
  Result<PackProcess> start_unpack() const;

  // Moves the branch alone, from `old_oid` ("" for an unborn one) to `new_oid`; kConflict when it is elsewhere, kUnavailable while its lock is
  // held.
  Result<> move_branch(const std::string& new_oid, const std::string& old_oid);
  // The same with its index, as one step to others (mirror/branch_move.h); staged changes stay, files are not touched. The text says what was
  // lost on the way, if anything. kUnavailable: somebody is in the middle of something, nothing was changed.
  Result<std::string> move(const std::string& new_oid, const std::string& old_oid);
  // The first commit: branch, index and files.
  Result<> begin(const std::string& oid);
  // In the middle of what somebody is here (mirror/branch_move.h).
  std::string under_way() const { return mover_.under_way(); }
  // At the start: what a killed one left of a step.
  void take_over();
  // The index that is still behind its branch, if it is, follows. The text as of move().
  Result<std::string> take_up_behind();
  bool behind() const;
  // What was cleared away (dead_locks.h) since the last call, for people.
  std::string take_cleared() { return locks_.take_cleared(); }
  // Index and files as in that commit.
  Result<> check_out(const std::string& oid);

  Result<bool> is_ancestor(const std::string& commit, const std::string& of) const;

  sys::ProcessSpec command(std::vector<std::string> args) const;
  // Runs it; stdout.
  Result<std::string> git(std::vector<std::string> args, std::string_view input = {}) const;
  static std::map<std::string, std::string> environment();

 private:
  struct Behind {
    std::string to, from;
  };
  Result<> note_behind(const Behind& behind) const;
  std::optional<Behind> noted() const;
  void caught_up() const;

  RepositoryOptions options_;
  DeadLocks locks_;
  mirror::BranchMove mover_;
};

// What `git push`, `git fetch` and friends run for the remote: a script that says in one line how work gets out.
std::string remote_helper_script();
// What `gh` runs while it is not installed: the same for pull requests.
std::string gh_script();

}  // namespace locki::endpoint
