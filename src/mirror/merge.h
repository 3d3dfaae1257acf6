// The three-way text merge, by git merge-file on three files of ours. Blocking; any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "git/command.h"

namespace locki::mirror {

// The merged text; nullopt when both changed the same place, or one of them is binary or larger than 8 MiB.
Result<std::optional<std::string>> merge_text(const git::Program& program, const std::filesystem::path& scratch,
                                              const std::string& base, const std::string& host,
                                              const std::string& sandbox);

}  // namespace locki::mirror
