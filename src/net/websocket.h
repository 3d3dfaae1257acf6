// A WebSocket client connection (RFC 6455) over pinned TLS, asynchronous on an EventLoop. Belongs to the loop's thread. At most one
// read and one write are under way at a time; nothing is read from the peer unless read() was called, which is the back-pressure.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "net/event_loop.h"
#include "net/tls.h"

namespace locki::net {

class WebSocket {
 public:
  WebSocket(EventLoop& loop, std::shared_ptr<TlsContext> tls);
  ~WebSocket();  // closes the connection; pending handlers are not called
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  // TLS handshake and upgrade on a connected socket. Not bounded in time: close() it from a Timer.
  void open(sys::Fd socket, std::string_view target, std::function<void(Result<>)> done);

  struct Data {
    ByteView bytes;          // a piece of a message, at most kMaxRead; valid during the handler only
    bool text = false;       // the message's kind
    bool message_end = false;
  };
  static constexpr std::size_t kMaxRead = 256 << 10;
  // The next piece of data. Pings are not answered (websocket.cc says why). The peer's close frame, or its end of stream, is kUnavailable.
  void read(std::function<void(Result<Data>)> done);
  // One whole message; `bytes` must live until the handler is called.
  void write(ByteView bytes, bool text, std::function<void(Result<>)> done);

  // Drops the connection without a closing handshake. Pending handlers are not called.
  void close();
  bool is_open() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace locki::net
