#include "gate/http_head.h"

#include <algorithm>

namespace locki::gate {
namespace {

constexpr std::size_t kMaxOverhead = 16 << 10;  // chunk extensions and trailers of one body
constexpr int kMaxSizeDigits = 15;              // 2^60: cannot overflow

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// In an extension or a trailer: anything but a bare control byte.
bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }

}  // namespace

BodyFramer::BodyFramer(const RequestHead& head) {
  if (head.body == RequestHead::Body::kLength && head.content_length > 0) {
    state_ = State::kLength;
    left_ = head.content_length;
  } else if (head.body == RequestHead::Body::kChunked) {
    state_ = State::kSize;
  }
}

std::optional<std::size_t> BodyFramer::take(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::kDone) {
    if (state_ == State::kLength || state_ == State::kData) {
      const std::uint64_t now = std::min<std::uint64_t>(left_, bytes.size() - at);
      skip(now);
      at += now;
    } else if (!step(bytes[at++])) {
      return std::nullopt;
    }
  }
  return at;
}

void BodyFramer::skip(std::uint64_t size) {
  left_ -= std::min(size, plain());
  if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : state_ == State::kData ? State::kDataCr : state_;
}

// One byte of chunk framing (RFC 9112, section 7.1), every line ended by CRLF. False: malformed.
bool BodyFramer::step(char c) {
  const auto expect = [&](char wanted, State next) {
    state_ = next;
    return c == wanted;
  };
  switch (state_) {
    case State::kSize: {
      if (const int value = hex_value(c); value >= 0) {
        left_ = left_ * 16 + static_cast<std::uint64_t>(value);
        return ++digits_ <= kMaxSizeDigits;
      }
      if (digits_ == 0) return false;
      state_ = c == '\r' ? State::kSizeEnd : State::kExtension;
      return c == '\r' || c == ';';
    }
    case State::kExtension:
      if (c == '\r') state_ = State::kSizeEnd;
      return (c == '\r' || is_text(c)) && ++overhead_ <= kMaxOverhead;
    case State::kSizeEnd:
      state_ = left_ == 0 ? State::kTrailer : State::kData;
      digits_ = 0;
      return c == '\n';
    case State::kDataCr:
      return expect('\r', State::kDataLf);
    case State::kDataLf:
      return expect('\n', State::kSize);
    case State::kTrailer:
      state_ = c == '\r' ? State::kLastLf : State::kTrailerLine;
      return (c == '\r' || is_text(c)) && ++overhead_ <= kMaxOverhead;
    case State::kTrailerLine:
      if (c == '\r') state_ = State::kTrailerLf;
      return (c == '\r' || is_text(c)) && ++overhead_ <= kMaxOverhead;
    case State::kTrailerLf:
      return expect('\n', State::kTrailer);
    case State::kLastLf:
      return expect('\n', State::kDone);
    case State::kLength:
    case State::kData:
    case State::kDone:
      break;
  }
  return false;
}

}  // namespace locki::gate
