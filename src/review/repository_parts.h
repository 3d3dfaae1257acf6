// Parts of a repository that is no `.git`: git takes any directory with HEAD, objects and refs (or HEAD and commondir) for a bare
// repository when it is run in there, and a prompt runs it; the config beside them can name programs (setup.c, is_git_directory;
// safe.bareRepository). Without HEAD there is no repository, so HEAD is what stays at the door. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace locki::review {

// Why a file or symlink (never a directory) at that path is held, or nullopt. `host_has_head`: whether the host has a file named HEAD in that
// directory, in any spelling: where the user keeps a repository of that kind, what its config says is not the sandbox's to change.
std::optional<std::string> why_repository_part(std::string_view path, const std::function<bool(std::string_view directory)>& host_has_head);

}  // namespace locki::review
