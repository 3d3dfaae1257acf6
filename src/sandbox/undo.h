// Going back: the files of an earlier state of the history are put into the host's worktree, as a person would edit them; the mirror
// then carries them inside as it carries every edit. Blocking.
#pragma once

#include "git/command.h"
#include "mirror/history.h"
#include "sandbox/config.h"

namespace locki::sandbox {

// Makes the mirrored files of `worktree` those of `version`. What git ignores is not touched. Each file is replaced only if it still is what
// was there when this began: kConflict names the first that is not; running it again goes on. Returns how many files changed.
Result<std::size_t> restore_version(const mirror::History& history, const std::string& version, const std::filesystem::path& worktree, const git::Program& git,
                                    const Config& config);

}  // namespace locki::sandbox
