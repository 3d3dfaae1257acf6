// Login files: the only thing of a sandbox's home that leaves it. What comes out is checked here before it is stored on the host
// and handed to the next sandbox. Pure.
#pragma once

#include <string_view>

#include "agents/agent.h"
#include "base/result.h"

namespace locki::agents {

// Ok when `content` can be that login file: not empty, within its size, valid UTF-8, no control bytes but tab and line ends, and a JSON object
// with one of the required members where it should be. kProtocol otherwise. The content never appears in the message.
Result<> check_login(const LoginFile& file, std::string_view content);

// The login file of that path; nullptr when the agent has none.
const LoginFile* find_login(const Agent& agent, std::string_view path);

}  // namespace locki::agents
