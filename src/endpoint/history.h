// The part of a repository's history that all sandboxes of it have in common: complete pack files on a volume, filled once before any agent
// runs where it is mounted, read-only afterwards. Each new sandbox shares their blocks (ioctl_ficlone(2)) and lets go of the volume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/hash.h"
#include "base/result.h"

namespace locki::endpoint {

// Exactly `size` bytes with this hash, from the descriptor to a file that is on the disk afterwards. kCorrupt for anything else; then the file
// is no more there.
Result<> take_file(int in, const std::filesystem::path& file, std::uint64_t size, const Hash& hash);

// Every pack file of one directory appears in another, which is made anew. Shares the blocks where the file system can, else copies.
Result<> link_history(const std::filesystem::path& from, const std::filesystem::path& to);

// Moves them into a repository's object store, its index last: git believes in a pack once that is there. With .keep beside it, so that no
// repacking makes the shared blocks into ones of the sandbox's own. `from` is gone afterwards; an absent one is fine: it is in already.
Result<> adopt_history(const std::filesystem::path& from, const std::filesystem::path& git_directory);

}  // namespace locki::endpoint
