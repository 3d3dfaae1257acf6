// Clean and smudge filters are programs that the user's configuration names and that a `.gitattributes` file chooses:
// one that came out of a sandbox must not choose any. Every configured filter is switched off for one command.
// Blocking; any thread.
#pragma once

#include "git/repository.h"

namespace locki::git {

// Adds GIT_CONFIG_COUNT and friends to the spec's environment.
Result<> disable_filters(const Repository& repository, sys::ProcessSpec& spec);

}  // namespace locki::git
