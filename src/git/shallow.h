// How much history goes into a sandbox. All of it, unless there is more than the user's limit, or the repository is
// shallow itself: then a boundary, in git's own form (Documentation/technical/shallow: commits that are there, and whose
// parents count as none). Blocking; any thread.
#pragma once

#include <filesystem>
#include <vector>

#include "git/repository.h"

namespace locki::git {

struct History {
  std::vector<ObjectId> boundary;  // sorted; empty: everything
  bool cut = false;                // by the limit
};

// The newest `most` commits that `tip` reaches, and the parents of the oldest of them, which are the boundary: so no
// commit among the newest lacks a parent, however old that is. 0: no limit.
Result<History> newest_history(const Repository& repository, const ObjectId& tip, std::size_t most);

// The boundary on disk: an id a line, as in git's own file. An absent file is an empty boundary; kCorrupt for anything that is no id.
Result<std::vector<ObjectId>> read_boundary(const std::filesystem::path& file);
std::string boundary_text(const std::vector<ObjectId>& boundary);

}  // namespace locki::git
