// Where the far ends of the mirrors dial in: one port of the machine's own network (vm/driver.h), on which a mirror's bytes pass neither Incus nor
// the daemon. A connection is let in when it comes from the sandbox that is expected, by the address that it called and cannot forge, and begins with
// the token that was made for it; its descriptor then goes to whoever waits. Everything else is hostile: few may be unproven, for a short time, and
// are noted once a minute. Thread-safe; a thread of its own while it is open.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "gate/address.h"
#include "sys/fd.h"

namespace locki::sandbox {

// Of every name inside; the gate listens on others (egress.h).
inline constexpr std::uint16_t kStreamPort = 3129;
inline constexpr std::size_t kStreamTokenSize = 64;  // hexadecimal digits, the first bytes of the connection

class StreamDoor {
  struct State;
  struct Waiting;

 public:
  struct Limits {
    std::size_t unproven_each = 4;  // of one sandbox
    std::size_t unproven = 64;
    std::chrono::milliseconds proof{5000};  // for the whole token to come
  };
  // Somebody who is expected, until it is destroyed. It may outlive the door.
  class Expected {
   public:
    Expected(std::shared_ptr<State> state, std::shared_ptr<Waiting> waiting);
    ~Expected();
    Expected(const Expected&) = delete;
    Expected& operator=(const Expected&) = delete;
    const std::string& token() const;
    // The connection, once: non-blocking. kTimeout; kCancelled; kUnavailable when the door is closed or another one is expected in its place.
    Result<sys::Fd> wait(std::chrono::milliseconds timeout);
    // From any thread: wait() returns.
    void cancel();

   private:
    const std::shared_ptr<State> state_;
    const std::shared_ptr<Waiting> waiting_;
  };

  StreamDoor();
  explicit StreamDoor(Limits limits);
  ~StreamDoor();
  // Takes over a listening socket. Nothing happens when it is open.
  Result<> open(sys::Fd listener);
  bool is_open() const;
  // Nobody is expected any more. Connections that were handed over stand.
  void close();
  // `caller`: the first of a sandbox's own addresses (gate_address() in egress.h). Whoever was expected from there is not any more.
  Result<std::unique_ptr<Expected>> expect(const gate::Address& caller);

 private:
  const std::shared_ptr<State> state_;
};

}  // namespace locki::sandbox
