// Asynchronous reading and writing of descriptors that are not ours alone: terminals, pipes, sockets, files, /dev/null. Such a
// descriptor's flags are shared with other processes (the user's shell), so O_NONBLOCK is never set on it: readiness comes from a
// private epoll, pipes are reopened through /proc for a description of our own, sockets use MSG_DONTWAIT, and what epoll
// refuses (regular files, /dev/null) is always ready.
// One operation at a time; belongs to the loop's thread. The descriptor is duplicated: the caller may close its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/strings.h"
#include "net/event_loop.h"

namespace locki::net {

class FdStream {
 public:
  enum class Use { kRead, kWrite };
  static Result<FdStream> make(EventLoop& loop, int fd, Use use);
  FdStream(FdStream&&) noexcept;
  FdStream& operator=(FdStream&&) noexcept;
  ~FdStream();  // forgets a pending operation: its handler is not called

  // At most `size` bytes into `data`, which must live until the handler is called; 0 is the end. A terminal that was hung up ends.
  void read(std::uint8_t* data, std::size_t size, std::function<void(Result<std::size_t>)> done);
  // All of it; `data` must live until then. kUnavailable when the other end is closed (EPIPE).
  void write(ByteView data, std::function<void(Result<>)> done);

 private:
  struct Impl;
  explicit FdStream(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace locki::net
