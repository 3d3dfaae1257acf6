// The machine's memory into a file and back, over QMP (QEMU's docs/devel/migration: mapped-ram, multifd, file:). The file is handed over as
// a descriptor: the jail has no path to it. The guest is hostile and QEMU may be its: only the outcome is believed, within a deadline.
#pragma once

#include <chrono>

#include "base/result.h"
#include "vm/qemu/qmp.h"

namespace locki::vm {

// The guest stops, and its memory is in the file when this returns. On an error it runs again, as before.
Result<> save_ram(Qmp& qmp, int file, std::chrono::milliseconds timeout);
// For a QEMU that was started with "-incoming defer". The guest is loaded and stopped afterwards; `continue_guest` lets it run.
Result<> load_ram(Qmp& qmp, int file, std::chrono::milliseconds timeout);
Result<> continue_guest(Qmp& qmp);

}  // namespace locki::vm
