// Held files as the user looks at them: what each is, why it is held, and how it differs from what the host has. Reads the mirror's
// state and the worktree; changes neither. Blocking.
#pragma once

#include <filesystem>
#include <map>
#include <vector>

#include "base/json.h"
#include "git/command.h"
#include "mirror/held.h"

namespace locki::sandbox {

// {path, why, kind, executable, size, content, new, target, diff}: `diff` is a unified diff without its head, at most 64 KiB; "" when there is
// nothing to be shown, and then `note` says why. Untrusted bytes: the caller escapes.
Result<json::array> report_held(const std::vector<mirror::HeldFile>& files, const std::filesystem::path& mirror_state, const std::filesystem::path& worktree,
                                const git::Program& git);

// What the user was shown last: path -> content id. Kept beside the record, where the mirror's worker cannot write.
Result<> save_shown(const std::filesystem::path& directory, const std::vector<mirror::HeldFile>& files);
std::map<std::string, std::string> load_shown(const std::filesystem::path& directory);

// What the user has let in so far: content ids of each path, kept beside the record as well. Only the newest few of a path.
Result<> save_accepted(const std::filesystem::path& directory, const std::vector<mirror::HeldFile>& files);
std::map<std::string, std::vector<std::string>> load_accepted(const std::filesystem::path& directory);

// The held files that the words name: a path, or a pattern with '*' and '?' over whole paths. kNotFound names a word that meets nothing; kConflict
// a file that was not shown with this content.
Result<std::vector<mirror::HeldFile>> choose_held(const std::vector<mirror::HeldFile>& files, const std::map<std::string, std::string>& shown,
                                                  const std::vector<std::string>& words);

}  // namespace locki::sandbox
