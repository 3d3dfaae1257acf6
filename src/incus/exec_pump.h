// The two directions of an exec session, each with bounded memory. For incus/ only; on the session's loop.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/fd_stream.h"
#include "net/websocket.h"

namespace locki::incus {

// Descriptor or text -> WebSocket. The end is told by an empty text message, Incus' "barrier" (shared/ws/rwc.go); the connection
// stays open. One buffer is under way at a time: nothing is read while the socket does not take it.
class InputPump {
 public:
  InputPump(net::EventLoop& loop, net::WebSocket& socket) : loop_(loop), socket_(socket) {}
  Result<> start(int fd, std::string_view text);  // fd -1: the text only; it must live as long as the pump
  void stop() { source_.reset(); stopped_ = true; }

 private:
  void read();
  void send(ByteView bytes, bool end);

  static constexpr std::size_t kBuffer = 128 << 10;
  net::EventLoop& loop_;
  net::WebSocket& socket_;
  std::optional<net::FdStream> source_;
  Bytes buffer_;
  bool stopped_ = false;
};

// WebSocket -> descriptor or text, until the barrier.
//
// While the descriptor takes nothing, nothing more than kAhead is read, so the command is slowed down. With one exception: incusd sets
// TCP_USER_TIMEOUT (30 s, shared/tcp/tcp_timeouts.go), so its kernel drops a connection whose window stays shut that long, and the
// output of `… | less` would be cut off. Therefore one piece is taken every `breath` even then, up to kMaxHeld in memory.
class OutputPump {
 public:
  static constexpr auto kBreath = std::chrono::milliseconds(10'000);
  struct Target {
    int fd = -1;                  // >= 0: there; it is borrowed
    std::string* text = nullptr;  // else there; neither: discarded
    std::size_t limit = 0;        // of the text
    std::chrono::milliseconds breath = kBreath;
  };
  enum class End {
    kComplete,  // everything was written
    kClosed,    // the reader of our descriptor is gone
    kBroken,    // the connection ended before the barrier; `error` says how
    kFailed,    // our own side failed: disk full, text too long
  };
  using OnEnd = std::function<void(End, std::optional<Error> error)>;

  OutputPump(net::EventLoop& loop, net::WebSocket& socket, Target target, OnEnd on_end)
      : loop_(loop), socket_(socket), target_(target), on_end_(std::move(on_end)), breath_(loop) {}
  Result<> start();
  bool ended() const { return ended_; }
  bool silent() const { return silent_; }  // not one byte came

 private:
  void read();
  void take(const net::WebSocket::Data& data);
  void write();
  void go_on();
  void finish(End end, std::optional<Error> error = std::nullopt);

  static constexpr std::size_t kAhead = 512 << 10;
  static constexpr std::size_t kMaxHeld = 64 << 20;

  net::EventLoop& loop_;
  net::WebSocket& socket_;
  Target target_;
  OnEnd on_end_;
  net::Timer breath_;
  std::optional<net::FdStream> sink_;
  std::string writing_, waiting_;
  bool reading_ = false, write_pending_ = false, ended_ = false;
  bool barrier_ = false, silent_ = true;
  std::optional<Error> broken_;
};

}  // namespace locki::incus
