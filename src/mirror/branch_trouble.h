// Why the branch does not travel just now, since when, and when it is tried again. Two kinds: somebody is in the way for a while (a git that
// holds a lock, a merge that is not finished), and a git that failed. Values and a clock; one thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "mirror/control.h"

namespace locki::mirror {

class BranchTrouble {
 public:
  using Clock = std::chrono::steady_clock;
  explicit BranchTrouble(std::function<void(Event)> tell) : tell_(std::move(tell)) {}

  // An attempt begins: what comes of it is true of this moment.
  void attempt(Clock::time_point now = Clock::now()) { begun_ = now; }
  // Tried again each half second; a "problem" once it lasts.
  void waits(const std::string& commit, const std::string& why, Clock::time_point now = Clock::now());
  // "stuck" at once, tried again with pauses that grow.
  void fails(const std::string& commit, const std::string& why, Clock::time_point now = Clock::now());
  void over();
  // A branch has moved, or somebody asks: the pause is over, but for a short one.
  void hurry();

  bool may_try(Clock::time_point now = Clock::now()) const { return now >= retry_at_; }
  bool none() const { return why_.empty(); }
  const std::string& why() const { return why_; }
  // Who asked at `asked` need not wait for its end: an attempt that began since has come to this, and not the first.
  bool lasts(Clock::time_point asked, Clock::time_point now = Clock::now()) const;

 private:
  void happened(const std::string& why, Clock::time_point now);

  std::function<void(Event)> tell_;
  std::string why_;  // printable; "": all is well
  bool failed_ = false, told_ = false;
  int tries_ = 0;
  Clock::time_point since_{}, begun_{}, outcome_of_{}, tried_{}, retry_at_{};
  std::chrono::milliseconds pause_{0};
};

}  // namespace locki::mirror
