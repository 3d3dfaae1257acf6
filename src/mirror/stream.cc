#include "mirror/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace locki::mirror {
namespace {

// A socket pair ends in the first two ways only.
bool lost(int error) { return error == EPIPE || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH; }

}  // namespace

Result<Stream> Stream::over(sys::Fd socket) {
  TRY(sys::set_nonblocking(socket.get(), true));
  return Stream(std::move(socket));
}

void Stream::send(const wire::Message& message) {
  if (sent_ > 0 && (sent_ == out_.size() || sent_ > (1 << 20))) {
    out_.erase(0, sent_);
    sent_ = 0;
  }
  const std::string frame = wire::encode(message);
  credit_ -= wire::credit_cost(message, frame.size() - wire::kHeaderSize);
  out_ += frame;
}

Result<> Stream::flush() {
  while (wants_write()) {
    const ssize_t n = ::send(fd_.get(), out_.data() + sent_, queued(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (n < 0 && lost(errno)) return fail(ErrorKind::kUnavailable, "the far end is gone");
    if (n < 0) return fail_errno(errno, "cannot write to the far end");
    sent_ += static_cast<std::size_t>(n);
  }
  return {};
}

Result<> Stream::receive(const Handler& handler) {
  std::array<std::uint8_t, 65536> buffer;
  for (int turn = 0; turn < 16; ++turn) {
    const ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0 && lost(errno)) return fail(ErrorKind::kUnavailable, "the far end is gone");
    if (n < 0) return fail_errno(errno, "cannot read from the far end");
    if (n == 0) return fail(ErrorKind::kUnavailable, "the far end is gone");
    decoder_.feed(ByteView(buffer.data(), static_cast<std::size_t>(n)));
    while (true) {
      TRY_ASSIGN(auto frame, decoder_.next());
      if (!frame) break;
      const std::int64_t cost = wire::credit_cost(frame->message, frame->payload_size);
      // A window and one overdraft: more means that the other side does not keep to it.
      if (cost > 0 && outstanding_ > wire::kWindow + static_cast<std::int64_t>(wire::kMaxPayload)) {
        return fail(ErrorKind::kProtocol, "the far end sends more than its credit allows");
      }
      outstanding_ += cost;
      if (const auto* credit = std::get_if<wire::Credit>(&frame->message)) {
        credit_ += credit->bytes;
        if (credit_ > wire::kWindow)
          return fail(ErrorKind::kProtocol, "the far end gives back more credit than it got");
      }
      TRY(handler(frame->message, frame->payload_size));
      owed_ += cost;
      if (owed_ >= wire::kWindow / 8) {
        send(wire::Credit{static_cast<std::uint32_t>(owed_)});
        outstanding_ -= owed_;
        owed_ = 0;
      }
    }
  }
  return {};
}

}  // namespace locki::mirror
