// A QMP client (QEMU's docs/interop/qmp-spec.rst): one JSON object a line, commands with ids, events in between. Behind the socket is a
// process that a hostile guest may have taken over: lines are bounded, answers must fit, every wait has a deadline. One thread at a time.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "sys/fd.h"

namespace locki::vm {

class Qmp {
 public:
  using Milliseconds = std::chrono::milliseconds;
  struct Event {
    std::string name;  // "SHUTDOWN", "BLOCK_IO_ERROR", …: not yet checked against anything
    json::object data;
  };

  // Greeting and capabilities are behind us afterwards. QEMU serves one client at a time: kTimeout while another one is connected.
  static Result<Qmp> connect(const std::filesystem::path& socket, Milliseconds timeout);
  static Result<Qmp> over(sys::Fd socket, Milliseconds timeout);

  // The value of "return". An "error" answer is kFailed with its description; kUnavailable when QEMU has gone; kProtocol ends the
  // usefulness of the connection.
  Result<json::value> execute(std::string_view command, json::object arguments = {}, Milliseconds timeout = Milliseconds(5000));
  // The same with a descriptor that QEMU gets a copy of (add-fd, getfd).
  Result<json::value> execute_with_fd(std::string_view command, int fd, json::object arguments = {}, Milliseconds timeout = Milliseconds(5000));
  // Nothing when none came within the time. At most the last 64 are kept.
  Result<std::optional<Event>> next_event(Milliseconds timeout);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  explicit Qmp(sys::Fd socket) : socket_(std::move(socket)) {}
  Result<json::value> run(std::string_view command, std::optional<int> fd, json::object arguments, Milliseconds timeout);
  Result<json::object> read_object(Deadline deadline);
  bool keep_event(const json::object& object);

  sys::Fd socket_;
  std::string buffered_;
  std::deque<Event> events_;
  std::int64_t last_id_ = 0;
};

}  // namespace locki::vm
