// Which agents there are, without reading their files: their names are commands, and `locki --help` must not depend on a typo in one.
#pragma once

#include <string>
#include <vector>

#include "sys/xdg.h"

namespace locki::cli {

// NAME.toml in the installed table and in the user's own (CONFIG/agents), sorted; those that git and a shell take as a plain word.
// The built-in six when the installed table is missing, so that the error comes from the command that needs it.
std::vector<std::string> agent_names(const sys::Paths& paths, const sys::Installation& installation);

}  // namespace locki::cli
