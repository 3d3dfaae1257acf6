// What of the host's environment goes into a sandbox: a short allow-list, values checked. Pure.
#pragma once

#include <map>
#include <string>

namespace locki::cli {

// TERM, COLORTERM, LANG, LANGUAGE, LC_*, TZ, NO_COLOR. A value that could be anything but what the variable is for is left out.
std::map<std::string, std::string> crossing_environment(const std::map<std::string, std::string>& host);

// Everything in this process's environment.
std::map<std::string, std::string> host_environment();

}  // namespace locki::cli
