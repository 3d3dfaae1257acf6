// The room: what the program sees as its file system.
//
//   /        the VMM root, read-only, nosuid, nodev
//   /tmp     tmpfs, 16 MiB
//   /run     tmpfs, 16 MiB: the secrets, 0600
//   /dev     null, zero, urandom; kvm when asked for
//   /disks   the given files, each bound on its own; never a directory of the host
//
// There is no /proc and no /sys: QEMU needs neither, and what is not there tells nothing and cannot be written.
#pragma once

#include "vm/qemu/jail/options.h"

namespace jail {

// In a mount namespace of our own. Builds the room on top of DIR, makes it the root with pivot_root(2) and lets the old one go.
void move_into_room(const Options& options);

}  // namespace jail
