#include "vm/qemu/guest_agent.h"

#include <fmt/format.h>
#include <time.h>

#include <array>
#include <thread>

#include "base/strings.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace locki::vm {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t kMaxLine = 64 << 10;
constexpr int kMaxLines = 64;
constexpr milliseconds kPoll{20};

std::int64_t nanoseconds_now() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

Result<GuestAgent> GuestAgent::connect(const std::filesystem::path& socket) {
  TRY_ASSIGN(sys::Fd fd, sys::connect_unix(socket));
  return GuestAgent(std::move(fd));
}

Result<> GuestAgent::begin(std::string_view command, const json::object& arguments) {
  id_ = nanoseconds_now() & 0x7fffffff;
  const json::object sync{{"execute", "guest-sync-delimited"}, {"arguments", json::object{{"id", id_}}}};
  const json::object request{{"execute", command}, {"arguments", arguments}};
  // The byte 0xff ends whatever half request an earlier connection left in the agent's parser.
  return sys::write_all(socket_.get(), "\xff" + json::serialize(sync) + "\n" + json::serialize(request) + "\n");
}

Result<std::string> GuestAgent::next_line(Deadline deadline) {
  for (;;) {
    if (const auto end = buffered_.find('\n'); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      // The agent's own delimiter.
      return line.starts_with('\xff') ? line.substr(1) : line;
    }
    if (buffered_.size() > kMaxLine) return fail(ErrorKind::kProtocol, "the guest agent sends a line without end");
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    TRY_ASSIGN(const bool readable, sys::wait_readable(socket_.get(), std::max(left, milliseconds(0))));
    if (!readable) return fail(ErrorKind::kTimeout, "the guest agent does not answer");
    std::array<std::uint8_t, 4096> chunk;
    TRY_ASSIGN(const std::size_t n, sys::read_some(socket_.get(), chunk.data(), chunk.size()));
    if (n == 0) return fail(ErrorKind::kUnavailable, "the guest agent is gone");
    buffered_.append(reinterpret_cast<const char*>(chunk.data()), n);
  }
}

Result<json::value> GuestAgent::finish(Deadline deadline) {
  bool in_step = false;
  for (int i = 0; i < kMaxLines; ++i) {
    TRY_ASSIGN(const std::string line, next_line(deadline));
    auto object = json::parse_object(line, kMaxLine);
    if (!object) continue;
    if (!in_step) {
      in_step = json::int_or(*object, "return", -1) == id_;
      continue;
    }
    if (const auto* error = json::object_or_null(*object, "error")) {
      return fail(ErrorKind::kFailed, "the guest agent: " + printable(json::string_or(*error, "desc", "no reason given"), 200));
    }
    const auto* value = object->if_contains("return");
    return value != nullptr ? *value : json::value(nullptr);
  }
  return fail(ErrorKind::kProtocol, "the guest agent sends anything but its answer");
}

Result<> GuestAgent::write_disks(milliseconds timeout) {
  return context(run("/usr/bin/sync", {}, timeout), "while the guest gets its disk written");
}

Result<> GuestAgent::run(std::string_view program, const std::vector<std::string>& arguments, milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  TRY(begin("guest-exec", {{"path", program}, {"arg", json::array(arguments.begin(), arguments.end())}}));
  TRY_ASSIGN(const json::value started, finish(deadline));
  if (!started.is_object()) return fail(ErrorKind::kProtocol, "the guest agent does not say what it began");
  TRY_ASSIGN(const std::int64_t pid, json::get_int(started.get_object(), "pid"));
  while (steady_clock::now() < deadline) {
    TRY(begin("guest-exec-status", {{"pid", pid}}));
    TRY_ASSIGN(const json::value state, finish(deadline));
    if (state.is_object() && json::bool_or(state.get_object(), "exited")) {
      if (json::int_or(state.get_object(), "exitcode", -1) == 0) return {};
      return fail(ErrorKind::kFailed, fmt::format("{} fails in the guest", program));
    }
    std::this_thread::sleep_for(kPoll);
  }
  return fail(ErrorKind::kTimeout, fmt::format("{} does not end in the guest", program));
}

Result<> GuestAgent::send_time() { return begin("guest-set-time", {{"time", nanoseconds_now()}}); }

Result<> GuestAgent::await_time(milliseconds timeout) {
  auto set = finish(steady_clock::now() + timeout);
  // It sets the clock first, and then fails when there is no hwclock(8) for the emulated chip, which nobody reads.
  if (set || set.error().message().find("hwclock") != std::string::npos) return {};
  return fail(std::move(set).error());
}

}  // namespace locki::vm
