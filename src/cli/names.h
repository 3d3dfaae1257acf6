// Which sandbox is meant.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace locki::cli {

// A name is a branch name, too: the part of git-check-ref-format(1) that is also plain in a path and in a shell. kUsage says what is wrong.
Result<> check_name(const std::string& name);

// The name given; else the sandbox whose worktree we are in; else, on a terminal, a choice; else kUsage with the names there are.
// kCancelled when the user leaves the choice. `daemon`: used for the list.
Result<std::string> which_sandbox(Context& context, Caller& daemon, const std::string& given);
Result<std::string> which_sandbox(Context& context, const std::string& given);  // with a connection of its own

// The entry of `sandbox.list` with that name; kNotFound with the nearest name as a hint.
Result<json::object> find_sandbox(const json::object& list, const std::string& name);

}  // namespace locki::cli
