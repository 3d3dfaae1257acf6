// QEMU's argument vector as a pure function. Paths are those inside the jail (qemu/jail/tree.h). No secret is in it: everybody may read
// the arguments of a process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vm/driver.h"

namespace locki::vm {

// Where a port of the guest is found on 127.0.0.1 of the jail's network. Not at its own number, which is the gate's to listen on (8443 is a web
// port to many), but above the ephemeral ports (ip_local_port_range) and all that is well known.
constexpr std::uint16_t forward_port(std::uint16_t guest_port) { return static_cast<std::uint16_t>(61000 + guest_port % 4500); }

inline constexpr const char* kQemuProgram = "/usr/bin/qemu-system-x86_64";

struct QemuConfig {
  Accelerator accelerator = Accelerator::kTcg;
  unsigned cpus = 2;
  std::uint64_t memory_mib = 4096;
  std::vector<std::string> read_only_disks;  // names of files in /disks, seen by the guest as serial "locki-NAME"
  std::vector<std::string> secrets;         // names of files in /run, each "io.systemd.credential.binary:NAME=BASE64"
  std::vector<std::uint16_t> guest_ports;   // forwarded from forward_port() in the jail
  int qmp_fd = -1;                          // listening unix sockets
  int agent_fd = -1;
};
std::vector<std::string> qemu_arguments(const QemuConfig& config);

// The smallest machine that says whether the kernel runs under KVM with the host's CPU: no disk, no network.
std::vector<std::string> probe_arguments();

}  // namespace locki::vm
