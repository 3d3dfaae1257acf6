// The daemon: one per user, starts itself, listens on a unix socket only. It owns what must outlive a command: the machine, the
// mirrors, the egress gate. One thread a connection; the use cases themselves are in sandbox/.
#pragma once

#include <filesystem>
#include <string>

#include "sys/xdg.h"

namespace locki::daemon {

constexpr int kReadyFd = 3;  // where a daemon that was started by a client reports "ready", "busy" or why not

inline std::filesystem::path socket_file(const sys::Paths& paths) { return paths.runtime / "daemon.sock"; }
inline std::filesystem::path log_file(const sys::Paths& paths) { return paths.state / "daemon.log"; }

// Names this very build: a daemon of another build is replaced when it is idle.
std::string build_id();

// Runs until it is told to leave (SIGTERM, daemon.leave). Returns the process's exit status.
int run(const sys::Paths& paths, const sys::Installation& installation);

}  // namespace locki::daemon
