// Giving up system calls for good, for this process and everything it starts (seccomp(2)). A list of what is refused, because what is started is
// git in whatever version the host has. Call it while there is one thread.
#pragma once

#include "base/result.h"

namespace locki::sys {

// No sockets but those that are open and socketpair(2); nothing that looks into other processes, changes mounts, namespaces, modules, keys, clocks or
// the kernel; no io_uring, bpf, userfaultfd. Sets no_new_privs. What is refused fails with EPERM (sockets: EACCES). kUnavailable without seccomp.
Result<> refuse_escapes();

}  // namespace locki::sys
