#include "vm/qemu/guest_agent.h"

#include <fmt/format.h>
#include <time.h>

#include <array>

#include "base/hash.h"
#include "base/json.h"
#include "base/strings.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace locki::vm {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {
constexpr std::size_t kMaxAnswer = 64 << 10;
}

Result<GuestAgent> GuestAgent::connect(const std::filesystem::path& socket) {
  TRY_ASSIGN(sys::Fd fd, sys::connect_unix(socket));
  return GuestAgent(std::move(fd));
}

Result<> GuestAgent::send_time() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  id_ = now.tv_nsec;
  // The byte 0xff ends whatever half request an earlier connection left in the agent's parser.
  return sys::write_all(socket_.get(), fmt::format("\xff{{\"execute\":\"guest-sync-delimited\",\"arguments\":{{\"id\":{}}}}}\n"
                                                   "{{\"execute\":\"guest-set-time\",\"arguments\":{{\"time\":{}{:09}}}}}\n", id_, now.tv_sec, now.tv_nsec));
}

Result<> GuestAgent::await_time(milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  std::string buffered;
  bool in_step = false;
  for (;;) {
    while (buffered.find('\n') != std::string::npos) {
      const auto end = buffered.find('\n');
      const std::string line = buffered.substr(0, end);
      buffered.erase(0, end + 1);
      const auto object = json::parse_object(std::string_view(line).substr(line.starts_with('\xff') ? 1 : 0), kMaxAnswer);
      if (!object) continue;
      if (!in_step) {
        in_step = json::int_or(*object, "return", -1) == id_;
        continue;
      }
      if (const auto* error = json::object_or_null(*object, "error")) {
        // It sets the clock first, and then fails when there is no hwclock(8) for the emulated chip, which nobody reads.
        const std::string why = json::string_or(*error, "desc");
        if (why.find("hwclock") == std::string::npos) return fail(ErrorKind::kFailed, "the guest agent: " + printable(why, 200));
      }
      return {};
    }
    if (buffered.size() > kMaxAnswer) return fail(ErrorKind::kProtocol, "the guest agent sends too much");
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    TRY_ASSIGN(const bool readable, sys::wait_readable(socket_.get(), std::max(left, milliseconds(0))));
    if (!readable) return fail(ErrorKind::kTimeout, "the guest agent does not answer");
    std::array<std::uint8_t, 4096> chunk;
    TRY_ASSIGN(const std::size_t n, sys::read_some(socket_.get(), chunk.data(), chunk.size()));
    if (n == 0) return fail(ErrorKind::kUnavailable, "the guest agent is gone");
    buffered.append(reinterpret_cast<const char*>(chunk.data()), n);
  }
}

}  // namespace locki::vm
