// ${name} in the strings of the agent table. Pure; internal to agents/.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace locki::agents {

inline constexpr std::string_view kPlaceholders[] = {"worktree", "home", "user", "sandbox", "branch", "note"};

using Values = std::map<std::string, std::string, std::less<>>;

// kUsage for a "${" without its end or with an unknown name.
Result<> check_placeholders(std::string_view text);
// Keys and string values of the whole tree.
Result<> check_placeholders(const json::value& tree);

// Fills in what passed the check. A value is not searched for placeholders again.
std::string fill(std::string_view text, const Values& values);
json::value fill(const json::value& tree, const Values& values);

// TOML text for an object of strings, numbers, booleans, arrays and objects (null members are left out).
std::string toml_text(const json::object& tree);

}  // namespace locki::agents
