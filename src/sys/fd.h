// Owned descriptors and whole reads and writes. Everything made here is close-on-exec. Fd is move-only; calls block unless said.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/strings.h"

namespace locki::sys {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe();
struct SocketPair {
  Fd a, b;
};
Result<SocketPair> make_socketpair();  // AF_UNIX, SOCK_STREAM
Result<Fd> duplicate(int fd);
Result<> set_nonblocking(int fd, bool on);

// At most `size` bytes, at least one unless the end was reached (0). Retries EINTR.
Result<std::size_t> read_some(int fd, std::uint8_t* data, std::size_t size);
// Exactly `size` bytes; kUnavailable when the end comes first.
Result<> read_exact(int fd, std::uint8_t* data, std::size_t size);
// Everything until the end; kNoSpace beyond `limit`.
Result<std::string> read_all(int fd, std::size_t limit);
// All of it. SIGPIPE must be ignored by the process.
Result<> write_all(int fd, ByteView data);
inline Result<> write_all(int fd, std::string_view text) { return write_all(fd, as_bytes(text)); }

// True when readable (or at its end) within the time; false after it.
Result<bool> wait_readable(int fd, std::chrono::milliseconds timeout);

}  // namespace locki::sys
