#include "gate/socket_ops.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace locki::gate {

Transfer receive(int fd, std::span<char> into) {
  for (;;) {
    const ssize_t n = ::recv(fd, into.data(), into.size(), 0);
    if (n > 0) return {Transfer::State::kDone, static_cast<std::size_t>(n)};
    if (n == 0) return {Transfer::State::kEnd, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Transfer::State::kWouldBlock, 0};
    return {Transfer::State::kBroken, 0};
  }
}

Transfer transmit(int fd, std::string_view bytes) {
  for (;;) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) return {Transfer::State::kDone, static_cast<std::size_t>(n)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Transfer::State::kWouldBlock, 0};
    return {Transfer::State::kBroken, 0};
  }
}

Result<Connecting> start_connect(const Address& address, std::uint16_t port) {
  const bool v4 = address.family == Address::Family::kV4;
  sys::Fd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make a socket");
  int outcome = 0;
  if (v4) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    std::memcpy(&to.sin_addr, address.bytes.data(), 4);
    outcome = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    std::memcpy(&to.sin6_addr, address.bytes.data(), 16);
    outcome = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  // EINTR: the connection goes on by itself, like EINPROGRESS.
  if (outcome != 0 && errno != EINPROGRESS && errno != EINTR) return fail_errno(errno, "cannot connect");
  return Connecting{std::move(fd), outcome == 0};
}

int connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

Result<sys::Fd> accept_nonblocking(int listener) {
  sys::Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd) return fd;
  const int error = errno;
  if (error == EAGAIN || error == EWOULDBLOCK) return fail(ErrorKind::kUnavailable, "nobody is waiting");
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
    return fail(ErrorKind::kNoSpace, "out of descriptors");
  return fail_errno(error, "cannot accept a connection");
}

std::optional<Address> called_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return std::nullopt;
  Address address;
  if (storage.ss_family == AF_INET) {
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, 4);
  } else if (storage.ss_family == AF_INET6) {
    address.family = Address::Family::kV6;
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, 16);
  } else {
    return std::nullopt;
  }
  return address;
}

void end_sending(int fd) { ::shutdown(fd, SHUT_WR); }

void reset_on_close(int fd) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void tune(int fd) {
  const int on = 1, idle_seconds = 120, interval_seconds = 30, probes = 4;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

}  // namespace locki::gate
