#include "sys/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace locki::sys {

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

Result<SocketPair> make_socketpair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return fail_errno(errno, "cannot make a socket pair");
  return SocketPair{Fd(fds[0]), Fd(fds[1])};
}

Result<Fd> duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return fail_errno(errno, "cannot duplicate a descriptor");
  return Fd(copy);
}

Result<> set_nonblocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0) {
    return fail_errno(errno, "cannot change a descriptor's blocking mode");
  }
  return {};
}

Result<std::size_t> read_some(int fd, std::uint8_t* data, std::size_t size) {
  for (;;) {
    const ssize_t n = ::read(fd, data, size);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return fail_errno(errno, "cannot read");
  }
}

Result<> read_exact(int fd, std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    TRY_ASSIGN(const std::size_t n, read_some(fd, data, size));
    if (n == 0) return fail(ErrorKind::kUnavailable, "the other side closed the connection");
    data += n;
    size -= n;
  }
  return {};
}

Result<std::string> read_all(int fd, std::size_t limit) {
  std::string out;
  std::uint8_t buffer[65536];
  for (;;) {
    TRY_ASSIGN(const std::size_t n, read_some(fd, buffer, sizeof buffer));
    if (n == 0) return out;
    if (out.size() + n > limit) return fail(ErrorKind::kNoSpace, "more than " + human_bytes(limit) + " to read");
    out.append(reinterpret_cast<const char*>(buffer), n);
  }
}

Result<> write_all(int fd, ByteView data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        pollfd p{fd, POLLOUT, 0};
        ::poll(&p, 1, -1);
        continue;
      }
      return fail_errno(errno, "cannot write");
    }
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<bool> wait_readable(int fd, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd p{fd, POLLIN, 0};
    const int n = ::poll(&p, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (n > 0) return true;
    if (n == 0) return false;
    if (errno != EINTR) return fail_errno(errno, "cannot poll");
  }
}

}  // namespace locki::sys
