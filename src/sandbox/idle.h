// When nobody would miss the machine: no session is open, nothing goes through the gate, and its processors have hardly worked, for
// the whole of the configured time. Pure but for cpu_time(); one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

namespace locki::sandbox {

struct Activity {
  std::chrono::steady_clock::time_point now;
  std::size_t sessions = 0;
  std::uint64_t open_connections = 0, accepted = 0;  // of the gate
  std::chrono::milliseconds cpu_time{0};             // of the machine, since it began
  double cpu_idle_share = 0.1;                       // of one processor; less than this is idling
};

class IdleWatch {
 public:
  // True when the machine has been idle for `patience`. Call it regularly; a long gap between calls (the host slept) counts from now on.
  bool idle(const Activity& activity, std::chrono::milliseconds patience);

 private:
  Activity last_;
  std::chrono::steady_clock::time_point busy_{};
  bool begun_ = false;
};

// User and system time of a process; 0 when it is not there.
std::chrono::milliseconds cpu_time(pid_t pid);

}  // namespace locki::sandbox
