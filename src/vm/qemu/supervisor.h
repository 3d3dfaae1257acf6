// The VmDriver for QEMU in the jail (Linux). All that it knows about a running machine is on disk, so that a new daemon can take over.
#pragma once

#include "vm/driver.h"

namespace locki::vm {

struct QemuPlaces {
  std::filesystem::path state;  // STATE/vm: made 0700 when absent; pid file, sockets, logs, what the probe found
  std::filesystem::path jail;   // libexec/locki/jail
};

std::unique_ptr<VmDriver> make_qemu_driver(QemuPlaces places);

}  // namespace locki::vm
