// What a sandbox's branch and worktree changed, judged. Objects are read by plumbing, files beneath the worktree's descriptor: no attribute, filter, driver
// or hook has a say, and no configuration but the user's own is read. Blocking; run it where hostile bytes may be parsed (main.cc is such a program).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "git/repository.h"
#include "review/judge.h"

namespace locki::review {

struct Limits {
  std::size_t paths = 200'000;            // changed ones
  std::uint64_t content = 8ULL << 20;     // bytes of one file
  std::size_t commits = 10'000;           // of the branch, newest first
};

enum class Place {
  kBranch,    // the branch's tip
  kWorktree,  // only the worktree
  kHistory,   // only a commit of the branch before its tip
};

struct Judged : Finding {
  Place place = Place::kBranch;
  git::ObjectId commit;  // kHistory: the newest commit that made this version
  // Mode and hash of what is there now, to tell whether the user let in exactly that.
  std::uint32_t mode = 0;
  std::string content;  // hex of BLAKE2b, of a symlink's target too; "" when it is gone or unread
};

struct Report {
  std::vector<Judged> findings;  // most severe first, then by path
  std::size_t changed = 0;       // paths looked at
  std::size_t skipped = 0;       // older commits that were not looked at one by one: there are too many
};

// What `tip` has that `base` has not.
Result<Report> review_commits(const git::Repository& repository, const git::ObjectId& base, const git::ObjectId& tip, const Rules& rules, const Limits& limits = {});
// What commits between the two made that `tip` has no more: nothing runs by itself, but checking out such a commit, or a bisection over it, brings it.
// Compared with `base`, of severity medium at most, and only where the file as `tip` has it is not found for the same reason (`at_tip`).
Result<Report> review_history(const git::Repository& repository, const git::ObjectId& base, const git::ObjectId& tip, const Report& at_tip, const Rules& rules, const Limits& limits = {});
// What the worktree has that `base` has not. `known`: files that came out of the sandbox, whatever git ignores (mirror/history.h); others that git
// ignores are the user's own.
Result<Report> review_worktree(const git::Repository& repository, const git::ObjectId& base, const std::vector<std::string>& known, const Rules& rules, const Limits& limits = {});

// One report of both: what is found the same way on the branch counts as that.
Report merged(std::vector<Report> reports);

json::object to_json(const Judged& finding);
Result<Judged> judged_from_json(const json::object& o);

}  // namespace locki::review
