// Process 1 of the jail. It lets the daemon have sockets of the jail's network namespace, keeps the guest's console and the program's
// messages in files that cannot grow without end, and notes how the program ended. It never hands anything to the program.
//
// One request a connection, a line: "connect PORT" gives a TCP socket connected (or connecting: O_NONBLOCK) to 127.0.0.1:PORT,
// "listen PORT" one that listens on all addresses, with the reply "ok" and the descriptor; else "error ERRNO TEXT". Only ports given to the jail.
#pragma once

#include <sys/types.h>

#include "vm/qemu/jail/options.h"

namespace jail {

struct Running {
  pid_t program = 0;
  int pidfd = -1;
  int console = -1;   // read ends of its stdout and stderr
  int messages = -1;
};

// Returns never: the process ends after the program, and with it everything in the jail.
[[noreturn]] void run_broker(const Options& options, const Running& running);

}  // namespace jail
