// A stream of the endpoint's own to the host, for where there is a plainer way than the stdin and stdout that it was started with.
#pragma once

#include <chrono>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::endpoint {

// Takes the token that is on `token_from` (64 characters), connects and says it. `where` reads like "192.0.2.1:80": numbers only, because a static
// program has no resolver. Non-blocking. kUsage, kTimeout, or why it cannot be reached. SIGPIPE must be ignored.
Result<sys::Fd> dial(int token_from, std::string_view where, std::chrono::milliseconds timeout);

}  // namespace locki::endpoint
