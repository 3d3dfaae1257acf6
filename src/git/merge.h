// Merging a sandbox's branch into the user's own checkout, as the user's git does it, but for what the branch itself could steer. The user's configuration
// counts (identity, signing, ff, conflict style, rerere, strategies, merge drivers and filters); hooks do not run, because what hook managers run lies in the
// worktree that the merge has just changed. Where the branch changes attributes, configured filters and merge drivers are off. Blocking.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "git/repository.h"

namespace locki::git {

// Why a merge must not begin in this checkout ("a rebase is under way", "there are uncommitted changes"), or nullopt. Untracked files are left to git, which
// never overwrites one.
Result<std::optional<std::string>> why_not_mergeable(const Repository& checkout);

struct Merge {
  ObjectId tip;
  std::string message;
  bool squash = false, no_ff = false;
};
// Pure. `environment`: of the user, from which identity and what signing needs are taken; nothing else.
sys::ProcessSpec merge_command(const Repository& checkout, const Merge& merge, const std::map<std::string, std::string>& environment);

// Whether what comes with the tip changes any .gitattributes.
Result<bool> brings_attributes(const Repository& checkout, const ObjectId& head, const ObjectId& tip);

}  // namespace locki::git
