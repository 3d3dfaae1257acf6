#include "incus/exec_pump.h"

namespace locki::incus {

Result<> InputPump::start(int fd, std::string_view text) {
  if (fd < 0) {
    if (text.empty()) {
      send({}, true);
    } else {
      socket_.write(as_bytes(text), false, [this](Result<> sent) {
        if (sent && !stopped_) send({}, true);
      });
    }
    return {};
  }
  TRY_ASSIGN(source_, net::FdStream::make(loop_, fd, net::FdStream::Use::kRead));
  buffer_.resize(kBuffer);
  read();
  return {};
}

void InputPump::read() {
  source_->read(buffer_.data(), buffer_.size(), [this](Result<std::size_t> got) {
    if (stopped_) return;
    // A stdin that cannot be read (a directory, say) is an empty one for the command, as it is for a local one.
    const std::size_t size = got.value_or(0);
    send(ByteView(buffer_.data(), size), size == 0);
  });
}

void InputPump::send(ByteView bytes, bool end) {
  socket_.write(bytes, end, [this, end](Result<> sent) {
    if (stopped_) return;
    // The command does not read any more, or it ended: the session learns that from its other connections.
    if (!sent || end) return stop();
    read();
  });
}

Result<> OutputPump::start() {
  if (target_.fd >= 0) {
    TRY_ASSIGN(sink_, net::FdStream::make(loop_, target_.fd, net::FdStream::Use::kWrite));
  }
  read();
  return {};
}

void OutputPump::read() {
  reading_ = true;
  socket_.read([this](Result<net::WebSocket::Data> data) {
    reading_ = false;
    if (ended_) return;
    if (data) {
      take(*data);
    } else {
      broken_ = std::move(data).error();
    }
    go_on();
  });
}

void OutputPump::take(const net::WebSocket::Data& data) {
  if (!data.text && !data.bytes.empty()) silent_ = false;
  if (data.text) {
    barrier_ = true;
  } else if (sink_) {
    waiting_.append(as_text(data.bytes));
  } else if (target_.text != nullptr) {
    if (target_.text->size() + data.bytes.size() > target_.limit) {
      return finish(End::kFailed, Error(ErrorKind::kNoSpace, "the command wrote more than " + human_bytes(target_.limit)));
    }
    target_.text->append(as_text(data.bytes));
  }
}

void OutputPump::go_on() {
  if (ended_) return;
  if (!write_pending_ && !waiting_.empty()) write();
  const bool last = barrier_ || broken_.has_value();
  if (last) {
    breath_.cancel();
    if (!write_pending_ && waiting_.empty()) finish(barrier_ ? End::kComplete : End::kBroken, std::move(broken_));
    return;
  }
  if (reading_) return;
  if (waiting_.size() < kAhead) {
    breath_.cancel();
    return read();
  }
  if (waiting_.size() < kMaxHeld) {
    breath_.after(target_.breath, [this] {
      if (!reading_ && !ended_) read();
    });
  }
}

void OutputPump::write() {
  writing_.swap(waiting_);
  waiting_.clear();
  write_pending_ = true;
  sink_->write(as_bytes(writing_), [this](Result<> written) {
    write_pending_ = false;
    if (ended_) return;
    if (!written) {
      const bool closed = written.error().kind() == ErrorKind::kUnavailable;
      return finish(closed ? End::kClosed : End::kFailed, std::move(written).error());
    }
    go_on();
  });
}

void OutputPump::finish(End end, std::optional<Error> error) {
  if (ended_) return;
  ended_ = true;
  breath_.cancel();
  // Not from inside a handler of the objects that the session may now take down.
  loop_.post([on_end = on_end_, end, error = std::move(error)] { on_end(end, error); });
}

}  // namespace locki::incus
