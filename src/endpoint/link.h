// The framed stream to the host over two non-blocking descriptors (which may be one socket). Owned by one thread.
//
// What is sent is queued as messages and encoded when the descriptor takes it; what costs credit (wire.h) waits, with
// everything behind it, until the host has returned some. Credit for the host overtakes the queue: it must not wait for
// the host's credit.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "mirror/wire.h"

namespace locki::endpoint {

namespace wire = mirror::wire;

class Link {
 public:
  // Both stay the caller's. They are made non-blocking.
  static Result<Link> make(int in, int out);

  void send(wire::Message message) { queue_.push_back(std::move(message)); }
  // True while a producer of Data (files, packs) may add another piece: little is waiting, and the host wants more.
  bool wants_data() const { return queue_.empty() && bytes_.size() - written_ < kHighWater && credit_ > 0; }
  bool wants_to_write() const { return written_ < bytes_.size() || (!queue_.empty() && front_may_go()); }
  bool idle() const { return queue_.empty() && written_ == bytes_.size(); }

  // What has arrived; empty when nothing has. ended() is true after the host closed its side.
  Result<std::vector<wire::Frame>> receive();
  bool ended() const { return ended_; }
  int in() const { return in_; }
  int out() const { return out_; }
  // Writes what the descriptor takes.
  Result<> flush();

  // The host's Data of that size was dealt with.
  void return_credit(std::size_t payload_size) { owed_ += static_cast<std::uint32_t>(payload_size); }
  // Sends what has gathered; call once a loop.
  void send_credit();
  void add_credit(std::uint32_t bytes);

 private:
  static constexpr std::size_t kHighWater = 512 << 10;

  bool front_may_go() const;
  void encode_queue();

  int in_ = -1, out_ = -1;
  bool ended_ = false;
  wire::Decoder decoder_;
  std::deque<wire::Message> queue_;
  std::string bytes_;  // encoded, from written_ on still to write
  std::size_t written_ = 0;
  std::int64_t credit_ = wire::kWindow;
  std::uint32_t owed_ = 0;
};

}  // namespace locki::endpoint
