// The head of a request to a proxy or, in the transparent case, to the server itself, parsed strictly, and the way it is passed on. Pure. Where HTTP lets a recipient be
// lenient, this refuses: two programs that read the same bytes differently are how requests are smuggled (RFC 9112,
// sections 2.2, 5.1 and 6.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gate/host.h"

namespace locki::gate {

struct RequestHead {
  enum class Body { kNone, kLength, kChunked };
  bool connect = false;
  std::string method;
  Endpoint target;
  std::string path;                                          // origin form, "/" at least; empty for CONNECT
  int minor = 1;                                             // HTTP/1.minor
  std::vector<std::pair<std::string, std::string>> headers;  // as sent
  Body body = Body::kNone;
  std::uint64_t content_length = 0;
  bool websocket = false;  // wants to go on as one (RFC 6455, section 4.1); no other protocol is switched to
};

struct HeadResult {
  enum class State { kIncomplete, kComplete, kBad };
  State state = State::kIncomplete;
  std::size_t size = 0;  // complete: bytes of the head; what follows is body or tunnel
  RequestHead head;
  int status = 400;  // bad: the answer's status and one line about why
  std::string reason;
};
// `bytes` is everything received so far. Call again with more when incomplete; the caller bounds it. `search_from`:
// bytes that a former call has searched for the head's end already.
HeadResult parse_request_head(std::string_view bytes, std::size_t search_from = 0);
// The same from a client that believes it talks to the server, at `port`: there must be exactly one Host, for that port.
HeadResult parse_origin_head(std::string_view bytes, std::uint16_t port, std::size_t search_from = 0);

// The head for the origin server: origin form, our own Host and "Connection: close" (or the upgrade to a WebSocket), nothing else hop-by-hop.
std::string head_for_origin(const RequestHead& head);
// The same in absolute form, for an upstream proxy.
std::string head_for_upstream(const RequestHead& head, std::string_view authorization);
// "CONNECT host:port" for an upstream proxy.
std::string connect_for_upstream(const Endpoint& target, std::string_view authorization);

// The answer of an upstream proxy to CONNECT, or of a server to an upgrade.
struct ReplyHead {
  HeadResult::State state = HeadResult::State::kIncomplete;
  std::size_t size = 0;
  int status = 0;
};
ReplyHead parse_reply_head(std::string_view bytes);

// Finds the end of a request's body, so that nothing after it reaches the server.
class BodyFramer {
 public:
  explicit BodyFramer(const RequestHead& head);
  bool done() const { return state_ == State::kDone; }
  // How many of the bytes, from their beginning, belong to the body. nullopt: the chunks are malformed.
  std::optional<std::size_t> take(std::string_view bytes);
  // So many of the next bytes are the body's whatever they are; skip() takes up to that many of them unseen.
  std::uint64_t plain() const { return state_ == State::kLength || state_ == State::kData ? left_ : 0; }
  void skip(std::uint64_t size);

 private:
  enum class State {
    kLength,
    kSize,
    kExtension,
    kSizeEnd,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,
    kTrailerLine,
    kTrailerLf,
    kLastLf,
    kDone
  };
  bool step(char c);
  State state_ = State::kDone;
  std::uint64_t left_ = 0;
  int digits_ = 0;
  std::size_t overhead_ = 0;  // of extension or trailer bytes so far
};

// A whole small response that closes the connection. `reason` becomes the reason phrase and the body; made printable
// ASCII here.
std::string refusal(int status, std::string_view reason);

}  // namespace locki::gate
