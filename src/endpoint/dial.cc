#include "endpoint/dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <limits>

#include "base/strings.h"

namespace locki::endpoint {
namespace {

using Clock = std::chrono::steady_clock;

Result<sockaddr_in> parse(std::string_view where) {
  const auto colon = where.rfind(':');
  sockaddr_in address{.sin_family = AF_INET};
  const std::string host(where.substr(0, colon));
  const auto port = colon == where.npos ? std::nullopt : parse_u64(where.substr(colon + 1));
  if (!port || *port == 0 || *port > std::numeric_limits<std::uint16_t>::max() || ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    return fail(ErrorKind::kUsage, "--dial takes an address and a port, not " + printable(where, 60));
  address.sin_port = htons(static_cast<std::uint16_t>(*port));
  return address;
}

Result<> wait_connected(int fd, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail(ErrorKind::kTimeout, "the host does not answer");
    pollfd entry{fd, POLLOUT, 0};
    if (::poll(&entry, 1, static_cast<int>(left)) > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return fail_errno(error, "cannot connect to the host");
  return {};
}

}  // namespace

Result<sys::Fd> dial(int token_from, std::string_view where, std::chrono::milliseconds timeout) {
  TRY_ASSIGN(const sockaddr_in address, parse(where));
  std::array<std::uint8_t, 64> token;
  TRY(context(sys::read_exact(token_from, token.data(), token.size()), "while reading the token"));
  sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make a socket");
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // small frames are waited for
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EINPROGRESS) return fail_errno(errno, "cannot connect to the host");
    TRY(wait_connected(fd.get(), Clock::now() + timeout));
  }
  TRY(sys::write_all(fd.get(), ByteView(token.data(), token.size())));  // a new connection has room for it
  return fd;
}

}  // namespace locki::endpoint
