#include "vm/qemu/broker_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "sys/socket.h"

namespace locki::vm {

using std::chrono::milliseconds;

namespace {

Result<sys::Fd> ask(const std::filesystem::path& path, std::string_view verb, std::uint16_t port) {
  auto connected = sys::connect_unix(path);
  if (!connected) return fail(ErrorKind::kUnavailable, "the VM does not run");
  TRY(sys::write_all(connected->get(), fmt::format("{} {}\n", verb, port)));
  TRY_ASSIGN(const bool answered, sys::wait_readable(connected->get(), milliseconds(5000)));
  if (!answered) return fail(ErrorKind::kTimeout, "the VM's broker does not answer");
  TRY_ASSIGN(sys::Message reply, sys::receive_message(connected->get(), 128));
  if (reply.data == "ok\n" && reply.fds.size() == 1) return std::move(reply.fds[0]);
  const auto words = split(trim(reply.data), ' ');
  const auto number = words.size() > 1 && words[0] == "error" ? parse_u64(words[1]) : std::nullopt;
  if (!number || *number == 0 || *number > 4095) return fail(ErrorKind::kUnavailable, "the VM has ended");
  const auto code = static_cast<int>(*number);
  if (code == EADDRINUSE) return fail(ErrorKind::kExists, fmt::format("port {} of the VM's network is taken", port));
  return fail_errno(code, fmt::format("cannot {} to port {} of the VM's network", verb, port));
}

}  // namespace

Result<sys::Fd> broker_connect(const std::filesystem::path& socket, std::uint16_t port, milliseconds timeout) {
  TRY_ASSIGN(sys::Fd fd, ask(socket, "connect", port));
  pollfd poll_fd{fd.get(), POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll_fd, 1, static_cast<int>(timeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return fail(ErrorKind::kTimeout, fmt::format("port {} of the VM does not take the connection", port));
  int error = 0;
  socklen_t length = sizeof error;
  if (ready < 0 || ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error == ECONNREFUSED) return fail(ErrorKind::kUnavailable, fmt::format("nothing listens on port {} of the VM", port));
  if (error != 0) return fail_errno(error, fmt::format("cannot connect to port {} of the VM", port));
  TRY(sys::set_nonblocking(fd.get(), false));
  return fd;
}

Result<sys::Fd> broker_listen(const std::filesystem::path& socket, std::uint16_t port) { return ask(socket, "listen", port); }

}  // namespace locki::vm
