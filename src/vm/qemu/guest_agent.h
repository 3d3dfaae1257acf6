// The guest agent (QEMU's docs/interop/qemu-ga-ref): sets the clock, which stands still while the machine sleeps, and has the disk written
// before it does, and tells the guest's name server of names. What it answers comes from the guest: it is bounded, and nothing but the log depends on it. One thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sys/fd.h"

namespace locki::vm {

class GuestAgent {
 public:
  static Result<GuestAgent> connect(const std::filesystem::path& socket);
  // sync(8).
  Result<> write_disks(std::chrono::milliseconds timeout);
  // A program of the guest, as root, to its end. kFailed when it ends with anything but 0; kTimeout (it may still run).
  Result<> run(std::string_view program, const std::vector<std::string>& arguments, std::chrono::milliseconds timeout);
  // The host's time now, as a request that waits in the channel until the guest runs; then its answer.
  Result<> send_time();
  Result<> await_time(std::chrono::milliseconds timeout);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  explicit GuestAgent(sys::Fd socket) : socket_(std::move(socket)) {}
  Result<> begin(std::string_view command, const json::object& arguments);
  Result<json::value> finish(Deadline deadline);
  Result<std::string> next_line(Deadline deadline);

  sys::Fd socket_;
  std::string buffered_;
  std::int64_t id_ = 0;  // of the last guest-sync-delimited; answers before its own belong to nobody
};

}  // namespace locki::vm
