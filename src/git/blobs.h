// Many objects of a repository at once, by one `git cat-file --batch`. Blocking.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "git/command.h"

namespace locki::git {

// Calls `each` with the content of those of `oids` that are blobs of at most `limit` bytes, in their order; others are
// passed over. `command` makes a git command for the repository that is read.
Result<> read_blobs(const std::function<sys::ProcessSpec(std::vector<std::string> args)>& command,
                    const std::vector<ObjectId>& oids, std::uint64_t limit,
                    const std::function<void(std::size_t index, std::string_view content)>& each);

}  // namespace locki::git
