// Showing a log of the daemon's: the last entries, and the next as they come.
#pragma once

#include <functional>

#include "cli/context.h"
#include "cli/command.h"
#include "term/style.h"

namespace locki::cli {

// The options that every such command takes: -n,--limit and -f,--follow.
std::vector<Option> log_options();
// `method` answers {"entries": […]}, oldest first; `params` go with every call, and the limit. With --json the entries as they are: an array,
// or with --follow a line each. kUsage for a bad limit.
Result<int> show_log(Context& context, const Arguments& arguments, std::string_view method, json::object params,
                     const std::function<std::string(const json::object& entry, const term::Style& style)>& line);

}  // namespace locki::cli
