// locki net watch: the user's word on connections that are held.
#pragma once

#include "cli/command.h"

namespace locki::cli {

// Runs until stdin ends or a signal comes. With --json the questions are only shown, a line each.
Result<int> watch_network(Context& context, const Arguments& arguments);

}  // namespace locki::cli
