// Which states of a branch `locki review` or `locki merge` has shown the user: DIR/reviewed-branch.json, beside the record, where the mirror's worker
// cannot write. Only the newest few. Blocking.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace locki::sandbox {

// `state` says what was shown: the tip and what it was compared with. What cannot be read counts as not shown.
bool was_shown(const std::filesystem::path& directory, const std::string& state);
Result<> note_shown(const std::filesystem::path& directory, const std::string& state);

}  // namespace locki::sandbox
