// One mirror session on the host: scans, talks to the far end, decides (reconcile.h), carries out, records, and reports
// to the daemon. Single- threaded and blocking where it works on the host's own disk; everything between processes is
// polled. May be killed at any point: the base store only says what both sides have, so the next session starts from
// there.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "mirror/control.h"
#include "mirror/door.h"
#include "review/hold_rules.h"
#include "sys/fd.h"

namespace locki::mirror {

struct SessionOptions {
  StartSettings settings;
  DoorLimits limits;
  std::size_t round = 2000;  // actions planned at once
  std::string boot;          // which run of the host's kernel this is (sys/flush.h)
  review::HoldRules rules;   // which files from inside stay at the door until the user lets them in
  // Asked now and then: true ends the session with kUnavailable, for the next one to begin with what is new.
  std::function<bool()> outdated;
};

class Session {
 public:
  // Takes the lock of the state directory, opens base, history, worktree and repository. kExists when another worker
  // holds it.
  static Result<Session> open(SessionOptions options, sys::Fd stream, sys::Fd control);
  Session(Session&&) noexcept;
  ~Session();

  // Until the daemon says stop or closes the control socket. kProtocol: the far end broke the rules. kUnavailable: it
  // is gone.
  Result<> run();

  struct Impl;

 private:
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::mirror
