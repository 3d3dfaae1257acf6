// What a confined process (sys/landlock.h) must be able to read and run so that git works in a repository of the user's. Asks git where things are:
// before anything of a sandbox was read. Blocking.
#pragma once

#include <filesystem>
#include <vector>

#include "git/repository.h"
#include "sys/landlock.h"

namespace locki::git {

// The repository's shared directory and the stores it borrows from, git's own configuration, system programs and what they read; no worktree, and
// nothing for writing.
Result<sys::FileAccess> access_to_read(const Repository& repository);

// Every file that configuration came from, included ones too, and the files that it names for git to read.
Result<std::vector<fs::path>> config_files(const Repository& repository);

}  // namespace locki::git
