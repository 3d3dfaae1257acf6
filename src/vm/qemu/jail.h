// Starting libexec/locki/jail and holding on to what runs in it. Everything about one run lies in one directory (the run directory), so
// that a later process can take over: pid, exit, broker.sock, console.log, messages.log and sockets that the program serves.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/process.h"

namespace locki::vm {

namespace fs = std::filesystem;

struct JailSpec {
  fs::path jail;                              // libexec/locki/jail
  fs::path root;                              // directory that becomes /
  std::map<std::string, fs::path> read_only;  // name in /disks → file of the host
  std::map<std::string, fs::path> read_write;
  std::map<std::string, std::string> secrets;  // name in /run → content, at most 64 KiB each
  std::vector<std::string> sockets;            // listening sockets RUN/NAME for the program: descriptors kFirstSocketFd, +1, …
  bool kvm = false;
  std::vector<std::uint16_t> connect_ports;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> listen_ports;  // first and last
  std::string program;  // path inside
  std::vector<std::string> args;
};
inline constexpr int kFirstSocketFd = 10;

// The command, without the descriptors of the caller: pure, for golden tests.
sys::ProcessSpec jail_process(const JailSpec& spec);

// Process 1 of a jail. Held through a pidfd: never mistaken for another process that got its number. Move-only; one thread.
class Jailed {
 public:
  // From the pid file of a run directory; nothing when that process has ended or was another boot's. `boot_id` is the one the run
  // was started in.
  static Result<std::optional<Jailed>> find(const fs::path& run_directory, std::string_view boot_id);

  pid_t pid() const { return pid_; }
  pid_t program() const;  // the program's, as we see it; 0 when it has ended
  int pidfd() const { return pidfd_.get(); }
  // True when it has ended within the time.
  Result<bool> wait(std::chrono::milliseconds timeout) const;
  // Ends everything in the jail, and waits until it has.
  Result<> kill() const;

 private:
  Jailed(pid_t pid, sys::Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_;
  sys::Fd pidfd_;
};

// Empties the run directory (no jail may run from it) and starts. Returns when the program runs. kPermission with a remedy when the host
// does not let ordinary users make namespaces; the program's own failure shows only later, through wait().
Result<Jailed> start_jail(const JailSpec& spec, const fs::path& run_directory);

// How a run ended, with the last lines of messages.log and console.log, printable. For a jail that has ended.
std::string describe_end(const fs::path& run_directory);

std::string current_boot_id();

// What the host says about namespaces for ordinary users; absent settings are as the kernel's default.
struct NamespaceSettings {
  bool userns_clone_off = false;       // Debian: kernel.unprivileged_userns_clone = 0
  bool none_allowed = false;           // user.max_user_namespaces = 0
  bool apparmor_restricts = false;     // Ubuntu 24.04: kernel.apparmor_restrict_unprivileged_userns = 1
};
// What to do about it, for `locki doctor` as well; empty when nothing is in the way.
std::string namespace_remedy(const NamespaceSettings& settings, const fs::path& jail);
NamespaceSettings read_namespace_settings();

}  // namespace locki::vm
