// What the jail is told: everything comes through argv and inherited descriptors, nothing from files or the environment.
//
//   jail --root DIR [--read-only NAME=PATH]… [--read-write NAME=PATH]… [--secret NAME=FD]… [--kvm]
//        [--connect PORT]… [--listen FIRST-LAST]… [--keep FD]… -- PROGRAM ARGUMENT…
//
// PROGRAM is a path inside DIR. Inside, files are /disks/NAME and secrets /run/NAME. The program keeps 0, 1, 2 and the --keep descriptors.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace jail {

// Descriptors the caller hands over, by number. 0 to 2 are not used.
enum : int {
  kReportFd = 3,    // pipe: "error ERRNO TEXT" when the program could not be started; its end means that it was
  kPidFd = 4,       // file: "PID START", of process 1 of the jail, as the caller's process namespace sees it
  kExitFd = 5,      // file: "exited STATUS" or "killed SIGNAL"
  kBrokerFd = 6,    // listening unix socket of the broker
  kConsoleFd = 7,   // file for what the program writes to stdout: the guest's console; opened with O_APPEND
  kMessagesFd = 8,  // the same for stderr
  kFirstFreeFd = 10
};

struct File {
  std::string name;  // letters, digits, '-', '.'; no leading dot
  std::string path;  // absolute, on the host
  bool writable = false;
};

struct Secret {
  std::string name;
  int fd = -1;  // read to its end, at most 64 KiB
};

struct Options {
  std::string root;
  std::vector<File> files;
  std::vector<Secret> secrets;
  bool kvm = false;
  uid_t uid = 0;  // ours, and the only one whose requests the broker answers
  std::vector<std::uint16_t> connect_ports;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> listen_ports;  // first and last
  std::vector<int> keep;
  std::vector<char*> program;  // NULL-terminated, as execve() takes it
};

// Ends the process with a report when the arguments are not exactly of the form above.
Options parse(int argc, char** argv);

}  // namespace jail
