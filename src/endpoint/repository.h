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
};

class Repository {
 public:
  explicit Repository(RepositoryOptions options);

  bool exists() const;
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

  // Moves the branch from `old_oid` ("" for an unborn one) to `new_oid`; kConflict when it is elsewhere.
  Result<> move_branch(const std::string& new_oid, const std::string& old_oid);
  // The index follows a moved branch, staged changes stay, files are not touched. Does nothing while another branch is
  // checked out. The text says what was lost on the way, if anything.
  Result<std::string> index_follows(const std::string& new_oid, const std::string& old_oid);
  // Before the branch moves, and once the index has followed: so that whoever comes after a kill in between knows.
  Result<> note_behind(const std::string& new_oid, const std::string& old_oid) const;
  void caught_up() const;
  // What a killed one, or a lock in the way, left to do. The text as of index_follows().
  Result<std::string> take_up_behind();
  bool behind() const;
  // What was cleared away (dead_locks.h) since the last call, for people.
  std::string take_cleared() { return locks_.take_cleared(); }
  // Index and files as in that commit.
  Result<> check_out(const std::string& oid);

  sys::ProcessSpec command(std::vector<std::string> args) const;
  static std::map<std::string, std::string> environment();

 private:
  Result<std::string> git(std::vector<std::string> args, std::string_view input = {}) const;
  Result<> read_tree(const std::vector<std::string>& args);

  RepositoryOptions options_;
  DeadLocks locks_;
};

// What `git push`, `git fetch` and friends run for the remote: a script that says in one line how work gets out.
std::string remote_helper_script();
// What `gh` runs while it is not installed: the same for pull requests.
std::string gh_script();

}  // namespace locki::endpoint
