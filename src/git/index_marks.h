// The skip-worktree bit of a worktree's index (git-update-index(1)): such an entry counts as unchanged whatever the file is, and no status,
// stash, restore or reset writes the file. Used for what a commit holds and the worktree is not to have. Blocking.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "git/repository.h"

namespace locki::git {

// Gives those of `wanted` that are in the index the bit, and takes it from those of `ours` that are no longer wanted. Returns what carries it
// now by our doing. kUnavailable when somebody else holds the index: again in a moment.
Result<std::set<std::string>> mark_skipped(const Repository& worktree, const std::set<std::string>& wanted, const std::set<std::string>& ours);

}  // namespace locki::git
