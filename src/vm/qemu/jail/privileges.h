// Giving up what could be used to get out. Nothing here can be taken back.
#pragma once

#include "vm/qemu/jail/options.h"

namespace jail {

// No capabilities in any set, none to be gained from uid 0 or from files, no_new_privs, small limits, no core dumps.
void drop_privileges();

// For the program, before its exec and in addition to QEMU's own -sandbox: no new namespaces, mounts, tracing, keys, io_uring, BPF, and
// only local and internet sockets (AF_VSOCK is not confined by a network namespace).
void filter_program();

// For process 1: the few calls that the broker's loop makes.
void filter_broker();

}  // namespace jail
