// How an error looks, and which exit status it is. The one place. Pure.
#pragma once

#include <string>

#include "base/error.h"
#include "term/style.h"

namespace locki::cli {

inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitFound = 3;    // review found something
inline constexpr int kExitLocki = 125;  // locki itself failed in exec or an agent command

// `session`: the command's exit status belongs to what runs inside.
int exit_status(const Error& error, bool session);

//   locki: starting the VM failed
//     because reading the config failed: no such file
//     try: HINT
std::string rendered(const Error& error, const term::Style& style);

}  // namespace locki::cli
