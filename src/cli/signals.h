// Signals as values on a descriptor, for as long as a session runs: INT, TERM, HUP, QUIT, USR1, USR2 and WINCH. One at a time in a process;
// works whichever thread the kernel picks.
#pragma once

#include <array>
#include <csignal>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::cli {

class SignalPipe {
 public:
  static Result<SignalPipe> install();
  SignalPipe(SignalPipe&& other) noexcept;
  SignalPipe& operator=(SignalPipe&&) = delete;
  ~SignalPipe();  // puts the former actions back

  // Blocks. The number of the next signal; 0 after wake_up().
  int next();
  void wake_up();

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
  SignalPipe() = default;
  sys::Pipe pipe_;
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace locki::cli
