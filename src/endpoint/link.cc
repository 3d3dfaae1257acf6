#include "endpoint/link.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <variant>

#include "sys/fd.h"

namespace locki::endpoint {

Result<Link> Link::make(int in, int out) {
  TRY(sys::set_nonblocking(in, true));
  TRY(sys::set_nonblocking(out, true));
  Link link;
  link.in_ = in;
  link.out_ = out;
  return link;
}

Result<std::vector<wire::Frame>> Link::receive() {
  std::vector<wire::Frame> frames;
  std::vector<std::uint8_t> buffer(256 << 10);
  // Bounded, so that a busy host does not keep us from looking at the worktree.
  for (int round = 0; round < 4; ++round) {
    const ssize_t got = ::read(in_, buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      return fail_errno(errno, "cannot read from the host");
    }
    if (got == 0) {
      ended_ = true;
      break;
    }
    decoder_.feed(ByteView(buffer.data(), static_cast<std::size_t>(got)));
    while (true) {
      TRY_ASSIGN(auto frame, decoder_.next());
      if (!frame) break;
      frames.push_back(std::move(*frame));
    }
  }
  return frames;
}

bool Link::front_may_go() const {
  const wire::Message& front = queue_.front();
  const bool costs = std::holds_alternative<wire::Data>(front) || std::holds_alternative<wire::Entries>(front);
  return !costs || credit_ > 0;
}

void Link::encode_queue() {
  while (!queue_.empty() && bytes_.size() - written_ < kHighWater && front_may_go()) {
    const std::string frame = wire::encode(queue_.front());
    credit_ -= wire::credit_cost(queue_.front(), frame.size() - wire::kHeaderSize);
    bytes_ += frame;
    queue_.pop_front();
  }
}

Result<> Link::flush() {
  while (true) {
    encode_queue();
    if (written_ == bytes_.size()) {
      bytes_.clear();
      written_ = 0;
      return {};
    }
    const ssize_t put = ::write(out_, bytes_.data() + written_, bytes_.size() - written_);
    if (put < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {};
      return fail_errno(errno, "cannot write to the host");
    }
    written_ += static_cast<std::size_t>(put);
    if (written_ > kHighWater) {
      bytes_.erase(0, written_);
      written_ = 0;
    }
  }
}

void Link::send_credit() {
  if (owed_ == 0) return;
  encode_queue();  // what may go goes first: nothing overtakes the greeting
  // Whole frames only are in bytes_, so this may go between any two.
  bytes_ += wire::encode(wire::Credit{owed_});
  owed_ = 0;
}

void Link::add_credit(std::uint32_t bytes) {
  // Bounded by what was ever taken: a confused host must not overflow it.
  credit_ = std::min<std::int64_t>(credit_ + bytes, wire::kWindow);
}

}  // namespace locki::endpoint
