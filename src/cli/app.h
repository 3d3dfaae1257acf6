// The whole program but its real parts: words in, exit status out. main.cc hands in the services, tests hand in fakes.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace locki::cli {

// `words` are argv without the program. Renders help and errors; never throws.
int run_app(Context& context, const std::vector<std::string>& words);

}  // namespace locki::cli
