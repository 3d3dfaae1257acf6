// What a commit's tree means as a State: what a new clone of it has. Blocking.
#pragma once

#include <set>
#include <string>

#include "git/repository.h"
#include "mirror/state.h"

namespace locki::mirror {

// Of these paths those that the commit has, as a checkout without filters makes them; directories are those above a
// file. What cannot travel (submodules, symlinks that lead out, files beyond `max_file`) is left out.
Result<State> state_of_commit(const git::Repository& repository, const git::ObjectId& commit,
                              const std::set<std::string>& wanted, std::uint64_t max_file);

}  // namespace locki::mirror
