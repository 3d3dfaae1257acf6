// The rules that come with locki: share/gate/default.rules, a documented text file.
#pragma once

#include <filesystem>
#include <vector>

#include "gate/policy.h"

namespace locki::gate {

// `share` is sys::Installation::share. kNotFound, kUsage (a line that is not a rule).
Result<std::vector<Rule>> default_rules(const std::filesystem::path& share);

// The order in which rules are asked: the user's, what the user's tools are configured to use, the defaults.
std::vector<Rule> assemble_rules(std::vector<Rule> user, std::vector<Rule> tools, std::vector<Rule> defaults);

}  // namespace locki::gate
