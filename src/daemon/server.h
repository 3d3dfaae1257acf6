// The daemon: one per user, starts itself, listens on a unix socket only. It owns what must outlive a command: the machine, the
// mirrors, the egress gate. One thread a connection; the use cases themselves are in sandbox/.
#pragma once

#include <filesystem>
#include <string>

#include "sys/xdg.h"

namespace locki::daemon {

// Runs until it is told to leave (SIGTERM, daemon.leave). Returns the process's exit status.
int run(const sys::Paths& paths, const sys::Installation& installation);

}  // namespace locki::daemon
