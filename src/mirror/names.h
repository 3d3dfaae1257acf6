// The one place for what a path or symlink from the other side may look like. Pure and fuzzed; used by the door, by
// both scanners and (through base/path_rules.h) by the walk over the trees of commits.
//
// The rules for single components are git's own (verify_path in read-cache.c, utf8.c, is_ntfs_dotgit in path.c),
// applied all at once whatever the host is: a worktree may later be copied to another file system.
#pragma once

#include <string_view>

#include "base/path_rules.h"
#include "base/result.h"

namespace locki::mirror {

using path_rules::kMaxComponent;
using path_rules::kMaxDepth;
using path_rules::kMaxPath;
using path_rules::kTemporaryPrefix;

// A relative path whose every component may exist in the mirror. kProtocol with the reason, made printable.
Result<> check_path(std::string_view path);
// A symlink at `path` with that target: relative, of bounded length, never leading above the root on any prefix of its
// own walk, no component that could be taken for `.git`. What the target's components really are on disk is not looked
// at: nobody follows it.
Result<> check_symlink(std::string_view path, std::string_view target);

}  // namespace locki::mirror
