// The whole history of a commit as files that git can use as they are: made once on the host, so that nothing has to be indexed where it
// goes. Also what that would cost. Blocking; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "git/repository.h"

namespace locki::git {

// What the repository's own objects take on disk, packed and loose, whichever ref they belong to; what it borrows from another repository's
// store is not in it. Costs the same for any size.
Result<std::uint64_t> stored_bytes(const Repository& repository);
// What the objects that `tip` reaches and `have` does not take on disk (git-rev-list(1), --disk-usage): about the size of a pack of them.
Result<std::uint64_t> difference_bytes(const Repository& repository, const ObjectId& tip, const ObjectId& have);

struct HistoryPack {
  std::vector<fs::path> files;  // pack-HASH.pack, .rev where this git makes one, and .idx, in the order in which they may appear in a repository
  std::uint64_t bytes = 0;      // of all of them
};
// Everything that `tip` reaches, up to the boundary (git/shallow.h), and nothing else, into an empty directory.
Result<HistoryPack> write_history_pack(const Repository& repository, const ObjectId& tip, const std::vector<ObjectId>& boundary, const fs::path& directory);

}  // namespace locki::git
