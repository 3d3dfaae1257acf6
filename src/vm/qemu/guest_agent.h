// The guest agent (QEMU's docs/interop/qemu-ga-ref), for one thing: the clock, which stands still while the machine sleeps. What it answers
// is bounded, and nothing depends on it but the log.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::vm {

class GuestAgent {
 public:
  static Result<GuestAgent> connect(const std::filesystem::path& socket);
  // The host's time now, as a request that waits in the channel until the guest runs.
  Result<> send_time();
  Result<> await_time(std::chrono::milliseconds timeout);

 private:
  explicit GuestAgent(sys::Fd socket) : socket_(std::move(socket)) {}
  sys::Fd socket_;
  std::int64_t id_ = 0;
};

}  // namespace locki::vm
