#include "vm/qemu/qmp.h"

#include <array>

#include "sys/socket.h"

namespace locki::vm {

using std::chrono::steady_clock;

namespace {

constexpr std::size_t kMaxLine = 1 << 20;
constexpr std::size_t kMaxEvents = 64;
constexpr int kMaxUnrelated = 1000;  // objects that are not our answer

}  // namespace

Result<Qmp> Qmp::connect(const std::filesystem::path& socket, Milliseconds timeout) {
  TRY_ASSIGN(sys::Fd fd, sys::connect_unix(socket));
  return over(std::move(fd), timeout);
}

Result<Qmp> Qmp::over(sys::Fd socket, Milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  Qmp qmp(std::move(socket));
  TRY_ASSIGN(const json::object greeting, qmp.read_object(deadline));
  TRY(json::get_object(greeting, "QMP"));
  const auto left = std::chrono::duration_cast<Milliseconds>(deadline - steady_clock::now());
  TRY(qmp.execute("qmp_capabilities", {}, left));
  return qmp;
}

Result<json::object> Qmp::read_object(Deadline deadline) {
  std::size_t searched = 0;
  for (;;) {
    const auto end = buffered_.find('\n', searched);
    if (end != std::string::npos) {
      const std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return json::parse_object(line, kMaxLine);
    }
    searched = buffered_.size();
    if (searched > kMaxLine) return fail(ErrorKind::kProtocol, "QEMU sent a line of more than 1 MiB");
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - steady_clock::now());
    TRY_ASSIGN(const bool readable, sys::wait_readable(socket_.get(), std::max(left, Milliseconds(0))));
    if (!readable) return fail(ErrorKind::kTimeout, "QEMU does not answer");
    std::array<std::uint8_t, 16 << 10> chunk;
    TRY_ASSIGN(const std::size_t n, sys::read_some(socket_.get(), chunk.data(), chunk.size()));
    if (n == 0) return fail(ErrorKind::kUnavailable, "QEMU has closed its control socket");
    buffered_.append(reinterpret_cast<const char*>(chunk.data()), n);
  }
}

bool Qmp::keep_event(const json::object& object) {
  const auto name = json::get_string(object, "event");
  if (!name) return false;
  const json::object* data = json::object_or_null(object, "data");
  events_.push_back({*name, data != nullptr ? *data : json::object{}});
  if (events_.size() > kMaxEvents) events_.pop_front();
  return true;
}

Result<json::value> Qmp::execute(std::string_view command, json::object arguments, Milliseconds timeout) {
  return run(command, std::nullopt, std::move(arguments), timeout);
}

Result<json::value> Qmp::execute_with_fd(std::string_view command, int fd, json::object arguments, Milliseconds timeout) {
  return run(command, fd, std::move(arguments), timeout);
}

Result<json::value> Qmp::run(std::string_view command, std::optional<int> fd, json::object arguments, Milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  json::object request{{"execute", command}, {"id", ++last_id_}};
  if (!arguments.empty()) request["arguments"] = std::move(arguments);
  const std::string line = json::serialize(request) + "\n";
  TRY(fd ? sys::send_message(socket_.get(), line, {*fd}) : sys::write_all(socket_.get(), line));
  for (int i = 0; i < kMaxUnrelated; ++i) {
    TRY_ASSIGN(json::object object, read_object(deadline));
    if (keep_event(object)) continue;
    // The late answer to a command whose deadline has passed.
    if (json::int_or(object, "id", -1) != last_id_) continue;
    if (const json::object* error = json::object_or_null(object, "error"); error != nullptr) {
      return fail(ErrorKind::kFailed, "QEMU refuses " + std::string(command) + ": " + printable(json::string_or(*error, "desc", "no reason given")));
    }
    const auto* value = object.if_contains("return");
    if (value == nullptr) return fail(ErrorKind::kProtocol, "QEMU sent an answer without a result");
    return *value;
  }
  return fail(ErrorKind::kProtocol, "QEMU sends anything but the answer to " + std::string(command));
}

Result<std::optional<Qmp::Event>> Qmp::next_event(Milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  while (events_.empty()) {
    auto object = read_object(deadline);
    if (!object && object.error().kind() == ErrorKind::kTimeout) return std::optional<Event>{};
    if (!object) return fail(std::move(object).error());
    keep_event(*object);
  }
  Event event = std::move(events_.front());
  events_.pop_front();
  return std::optional<Event>(std::move(event));
}

}  // namespace locki::vm
