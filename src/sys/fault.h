// Places where a test can end the process as if it were killed there: LOCKI_FAULT=NAME in its environment. Costs a getenv otherwise.
#pragma once

#include <string_view>

namespace locki::sys {

void fault_point(std::string_view name);

}  // namespace locki::sys
