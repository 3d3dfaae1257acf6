#include "net/fd_stream.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "net/loop_impl.h"
#include "sys/fd.h"

namespace locki::net {

struct FdStream::Impl : std::enable_shared_from_this<FdStream::Impl> {
  enum class Kind {
    kAlwaysReady,   // epoll refuses it: a regular file, /dev/null; an operation takes no time worth waiting for
    kNonBlocking,   // an open file description of our own with O_NONBLOCK
    kSocket,        // MSG_DONTWAIT
    kBlocking,      // shared and blocking: one small operation after each sign of readiness
  };
  // A pipe that is ready for writing takes this much without blocking (PIPE_BUF, pipe(7)); a terminal soon enough.
  static constexpr std::size_t kBlockingWrite = 4096;

  Impl(EventLoop& loop, Use wanted) : context(loop.impl().context), use(wanted), watcher(context) {}

  boost::asio::io_context& context;
  Use use;
  Kind kind = Kind::kAlwaysReady;
  sys::Fd fd;
  boost::asio::posix::stream_descriptor watcher;  // a private epoll that holds `fd`
  bool closed = false;
  bool ready = false;  // a sign of readiness came and is not used yet

  std::uint8_t* in = nullptr;
  std::size_t in_size = 0;
  std::function<void(Result<std::size_t>)> on_read;
  ByteView out;
  std::function<void(Result<>)> on_write;

  Result<> open(int original) {
    struct stat info {};
    if (fstat(original, &info) != 0) return fail_errno(errno, "cannot look at a descriptor");
    if (S_ISFIFO(info.st_mode) || isatty(original) == 1) {
      const std::string path = "/proc/self/fd/" + std::to_string(original);
      const int flags = (use == Use::kRead ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
      fd.reset(::open(path.c_str(), flags));  // fails for a terminal that is not ours, or without /proc
    }
    if (fd) {
      kind = Kind::kNonBlocking;
    } else {
      TRY_ASSIGN(fd, sys::duplicate(original));
      kind = S_ISSOCK(info.st_mode) ? Kind::kSocket : Kind::kBlocking;
    }
    sys::Fd poller(epoll_create1(EPOLL_CLOEXEC));
    if (!poller) return fail_errno(errno, "cannot watch a descriptor");
    epoll_event event{};
    event.events = use == Use::kRead ? EPOLLIN : EPOLLOUT;
    if (epoll_ctl(poller.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
      if (errno != EPERM) return fail_errno(errno, "cannot watch a descriptor");
      kind = Kind::kAlwaysReady;
      return {};
    }
    boost::system::error_code error;
    watcher.assign(poller.release(), error);
    if (error) return fail(ErrorKind::kFailed, "cannot watch a descriptor: " + error.message());
    return {};
  }

  void close() {
    closed = true;
    boost::system::error_code ignored;
    watcher.close(ignored);
    fd.reset();
    on_read = nullptr;
    on_write = nullptr;
  }

  void later(void (Impl::*step)()) {
    boost::asio::post(context, [self = shared_from_this(), step] {
      if (!self->closed) (self.get()->*step)();
    });
  }
  void when_ready(void (Impl::*step)()) {
    watcher.async_wait(boost::asio::posix::descriptor_base::wait_read, [self = shared_from_this(), step](const boost::system::error_code& error) {
      if (self->closed || error) return;
      self->ready = true;
      (self.get()->*step)();
    });
  }
  bool must_wait() { return kind == Kind::kBlocking && !std::exchange(ready, false); }

  void read_step() {
    if (must_wait()) return when_ready(&Impl::read_step);
    const ssize_t got = kind == Kind::kSocket ? recv(fd.get(), in, in_size, MSG_DONTWAIT) : ::read(fd.get(), in, in_size);
    const int error = errno;
    if (got < 0 && error == EINTR) return later(&Impl::read_step);
    if (got < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return when_ready(&Impl::read_step);
    auto done = std::exchange(on_read, nullptr);
    if (got >= 0) return done(static_cast<std::size_t>(got));
    if (error == EIO || error == ECONNRESET) return done(std::size_t{0});  // a hung-up terminal, a peer that is gone
    done(fail_errno(error, "cannot read the input"));
  }

  void write_step() {
    if (out.empty()) return std::exchange(on_write, nullptr)({});
    if (must_wait()) return when_ready(&Impl::write_step);
    const std::size_t size = kind == Kind::kBlocking ? std::min(out.size(), kBlockingWrite) : out.size();
    const ssize_t put = kind == Kind::kSocket ? send(fd.get(), out.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL) : ::write(fd.get(), out.data(), size);
    const int error = errno;
    if (put < 0 && error == EINTR) return later(&Impl::write_step);
    if (put < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return when_ready(&Impl::write_step);
    if (put < 0) {
      auto done = std::exchange(on_write, nullptr);
      if (error == EPIPE || error == ECONNRESET || error == EIO) return done(fail(ErrorKind::kUnavailable, "the output was closed by its reader"));
      return done(fail_errno(error, "cannot write the output"));
    }
    out = out.subspan(static_cast<std::size_t>(put));
    write_step_again();
  }
  void write_step_again() {
    if (out.empty()) return std::exchange(on_write, nullptr)({});
    if (kind == Kind::kAlwaysReady || kind == Kind::kBlocking) return later(&Impl::write_step);
    when_ready(&Impl::write_step);
  }
};

Result<FdStream> FdStream::make(EventLoop& loop, int fd, Use use) {
  auto impl = std::make_shared<Impl>(loop, use);
  TRY(impl->open(fd));
  return FdStream(std::move(impl));
}

FdStream::FdStream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
FdStream::FdStream(FdStream&&) noexcept = default;
FdStream& FdStream::operator=(FdStream&& other) noexcept {
  if (this != &other) {
    if (impl_) impl_->close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
FdStream::~FdStream() {
  if (impl_) impl_->close();
}

void FdStream::read(std::uint8_t* data, std::size_t size, std::function<void(Result<std::size_t>)> done) {
  impl_->in = data;
  impl_->in_size = size;
  impl_->on_read = std::move(done);
  impl_->later(&Impl::read_step);
}

void FdStream::write(ByteView data, std::function<void(Result<>)> done) {
  impl_->out = data;
  impl_->on_write = std::move(done);
  impl_->later(&Impl::write_step);
}

}  // namespace locki::net
