// Worktrees of the user's repository. No hook runs, whatever the configuration says. Blocking; callers serialise per repository.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "git/repository.h"

namespace locki::git {

struct WorktreeInfo {
  fs::path path;
  ObjectId head;                      // "" when unborn or bare
  std::optional<std::string> branch;  // short name; nullopt: detached
  bool prunable = false;              // its directory is gone
};

struct AddWorktree {
  fs::path path;          // must not exist (or be empty)
  std::string branch;     // short name
  std::string from = "";  // a revision; "": HEAD. Only used when the branch is new
};

// A new worktree on a new branch at `from`, or on the existing branch of that name. kExists when the branch is checked out elsewhere or
// the path is taken. On failure nothing stays behind.
Result<> add_worktree(const Repository& repository, const AddWorktree& add);
Result<std::vector<WorktreeInfo>> list_worktrees(const Repository& repository);
// Forgets the worktree and deletes its directory, dirty or not: ask is_dirty() before. An absent one is fine.
Result<> remove_worktree(const Repository& repository, const fs::path& path);
Result<> prune_worktrees(const Repository& repository);
// Anything that is not committed: changed or untracked files that are not ignored. Filters of the configuration do not run.
Result<bool> is_dirty(const Repository& repository, const fs::path& worktree);
// For many worktrees of one repository: what git/filters.h says about it is asked once.
Result<bool> is_dirty(const Repository& repository, const fs::path& worktree, const std::map<std::string, std::string>& filter_switches);
// Commits of `branch` that no other branch, remote branch or tag reaches, newest first, "abbrev subject", at most `limit`.
Result<std::vector<std::string>> unmerged_commits(const Repository& repository, std::string_view branch, std::size_t limit = 100);
// `git branch -D` with the value it must have.
Result<> delete_branch(const Repository& repository, std::string_view branch, const ObjectId& expected);

}  // namespace locki::git
