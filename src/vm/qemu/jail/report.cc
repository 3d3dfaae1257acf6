#include "vm/qemu/jail/report.h"

#include <unistd.h>

#include <string>

#include "vm/qemu/jail/options.h"

namespace jail {

void die(int captured_errno, const char* text) { die(captured_errno, text, ""); }

void die(int captured_errno, const char* text, const char* object) {
  const std::string line = "error " + std::to_string(captured_errno) + " " + text + object + "\n";
  [[maybe_unused]] const auto n = ::write(kReportFd, line.data(), line.size());
  ::_exit(1);
}

}  // namespace jail
