// What the members of an agent may be. Pure; internal to agents/. Errors are kUsage and name the member.
#pragma once

#include <string_view>

#include "agents/agent.h"
#include "base/result.h"

namespace locki::agents {

Result<> check_name(std::string_view name);              // a command and a directory: a-z, 0-9, '-', at most 32
Result<> check_file(const FileTemplate& file);           // below ${home} or /etc, /usr/local: never the worktree, never ".."
Result<> check_login_file(const LoginFile& file);        // relative, beneath the home directory
Result<> check_agent(const Agent& agent);                // the whole, with what must be there

}  // namespace locki::agents
