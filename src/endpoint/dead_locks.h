// Locks that a killed git has left in a repository. git never takes them away, and refuses everything until somebody does. Who
// has made a lock is not written in it; that nobody holds it any more is taken for certain when it is the very same file for
// a while and no git runs in this container. (A commit that waits in an editor holds the index's lock, and is a git that
// runs. Programs that speak git without being one hold locks for moments.) Used inside the container alone: whose repository
// it is there, his are the locks.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sys/beneath.h"

namespace locki::endpoint {

class DeadLocks {
 public:
  // `names`: the locks that may be taken away, from `directory`.
  DeadLocks(std::string directory, std::vector<std::string> names, std::chrono::milliseconds patience);

  // git failed with this message. True when a lock that it names was dead and is gone now: worth another try. Else what it
  // names is remembered: a later call may find it unchanged for long enough.
  bool clear(std::string_view message);
  // What was taken away since the last call, for people; "": nothing.
  std::string take_cleared() { return std::exchange(cleared_, std::string()); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    sys::FileStat stat;
    Clock::time_point since;
  };
  bool dead(const std::string& path);

  std::string directory_;
  std::vector<std::string> names_;
  std::chrono::milliseconds patience_;
  std::map<std::string, Seen> seen_;
  std::string cleared_;
};

}  // namespace locki::endpoint
