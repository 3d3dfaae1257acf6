// Clean and smudge filters are programs that the user's configuration names and that a `.gitattributes` file chooses:
// one that came out of a sandbox must not choose any. Every configured filter is switched off for one command.
// Blocking; any thread.
#pragma once

#include <map>
#include <string>

#include "git/repository.h"

namespace locki::git {

// What switches them off in a command's environment: GIT_CONFIG_COUNT and friends.
Result<std::map<std::string, std::string>> filter_switches(const Repository& repository);
// The same, added to the spec's environment.
Result<> disable_filters(const Repository& repository, sys::ProcessSpec& spec);
// After that, the same for merge drivers: each becomes the merge of text that git does without one.
Result<> disable_merge_drivers(const Repository& repository, sys::ProcessSpec& spec);

}  // namespace locki::git
