// The mirror's connection to the far end: non-blocking frames in and out, and the credit that keeps both sides' memory
// bounded (wire.h). One thread; the owner polls fd().
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "mirror/wire.h"
#include "sys/fd.h"

namespace locki::mirror {

class Stream {
 public:
  static Result<Stream> over(sys::Fd socket);

  int fd() const { return fd_.get(); }
  bool wants_write() const { return sent_ < out_.size(); }
  // Queues it. Data only while may_send_data().
  void send(const wire::Message& message);
  bool may_send_data() const { return credit_ > 0 && queued() < (1 << 20); }
  // Writes what the socket takes. kUnavailable when the other side is gone.
  Result<> flush();

  // The handler gets each message with its payload size. Credit is returned by itself once the handler is through.
  using Handler = std::function<Result<>(wire::Message& message, std::size_t payload_size)>;
  // Reads what there is, but at most a few frames' worth, so that the loop turns. kUnavailable at the end.
  Result<> receive(const Handler& handler);

 private:
  explicit Stream(sys::Fd fd) : fd_(std::move(fd)) {}
  std::size_t queued() const { return out_.size() - sent_; }

  sys::Fd fd_;
  wire::Decoder decoder_;
  std::string out_;
  std::size_t sent_ = 0;
  std::int64_t credit_ = wire::kWindow;  // what we may still send
  std::int64_t owed_ = 0;                // what we have dealt with and not yet given back
  std::int64_t outstanding_ = 0;         // of theirs, on its way or owed
};

}  // namespace locki::mirror
