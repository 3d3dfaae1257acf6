// Whether the host's side of a sandbox is as it was when it came to rest: then nothing has to be carried in before its next command.
#pragma once

#include <cstdint>
#include <filesystem>

namespace locki::sandbox {

// Nanoseconds since 1970, a little in the past: the time stamps of file systems lag by a tick of the kernel.
std::int64_t rest_mark_now();
// Nothing in the worktree (but for its .git) was made, changed, renamed or deleted since: by the change times of everything in it. False as
// well when that cannot be told, or would take long.
bool unchanged_since(const std::filesystem::path& worktree, std::int64_t mark);

}  // namespace locki::sandbox
