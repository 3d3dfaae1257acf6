// What a daemon and its clients must agree on to find each other. No state.
#pragma once

#include <filesystem>
#include <string>

#include "sys/xdg.h"

namespace locki::daemon {

constexpr int kReadyFd = 3;  // where a daemon that was started by a client reports "ready", "busy" or why not

inline std::filesystem::path socket_file(const sys::Paths& paths) { return paths.runtime / "daemon.sock"; }
inline std::filesystem::path log_file(const sys::Paths& paths) { return paths.state / "daemon.log"; }

// Names a build by its program's file: a daemon of another build is replaced when it is idle. Clients ask about Installation::core.
std::string build_id(const std::filesystem::path& program);
// Of the program that this process runs, also after its file was replaced.
std::string own_build();

}  // namespace locki::daemon
