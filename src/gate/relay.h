// Carries bytes both ways between two connected sockets: back-pressure instead of buffers (at most one read is kept a
// direction, in memory or in a pipe), half-close, idle limit. What the client sends passes a filter first. Loop thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "gate/filter.h"
#include "gate/splice_pipe.h"
#include "loop/loop.h"
#include "sys/fd.h"

namespace locki::gate {

class Relay {
 public:
  struct Setup {
    sys::Fd client, server;
    std::string to_client, to_server;      // to be sent before anything else
    std::string from_server;               // received already, behind to_client
    std::string from_client;               // received already, still to be filtered
    std::unique_ptr<ClientFilter> filter;  // null: everything passes
    bool single_response = false;          // the server's end is the end: tell the client, do not wait for it
    std::size_t sent = 0;                  // bytes of the client's that the server has already
    std::chrono::milliseconds idle, half_closed_idle, filter_time;
    std::span<char> scratch;  // shared by all relays of the thread, and so are the pipes
    PipePool* pipes = nullptr;
    Address owner;  // whose share of them it is
  };
  struct End {
    bool refused = false;  // by the filter
    std::string reason;
  };
  // `done` is called once, also from within start(); the relay must outlive that call.
  Relay(loop::Loop& loop, Setup setup, std::function<void(End)> done);
  void start();
  void abort(std::string reason);  // both sides see a reset; calls done

  std::uint64_t bytes_out() const { return out_.bytes; }  // from the client
  std::uint64_t bytes_in() const { return in_.bytes; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Direction {
    std::string pending;  // read, allowed, not yet written
    std::size_t at = 0;   // so much of it is written
    SplicePipe pipe;      // lent while a read is in it: then nothing is pending
    bool bulk = false;    // the last read was a large one
    bool spliceable = true;
    bool end = false;     // nothing more will be read
    bool closed = false;  // the end was passed on, or the receiver is gone
    std::uint64_t bytes = 0;
    bool waiting() const { return at < pending.size() || pipe.held() > 0; }
  };

  void on_ready();
  void pump();
  void pump_out();
  void pump_in();
  Transfer read(Direction& direction, int from, std::size_t most = SIZE_MAX);
  std::optional<Transfer> read_into_pipe(Direction& direction, int from, std::size_t most);
  void pass_unseen(std::size_t size);
  void take_from_client(std::string_view bytes);
  bool forward(Direction& direction, int to, std::string_view bytes);
  bool flush(Direction& direction, int to);
  void drop_output();
  void give_pipes_back();
  void pass_ends_on();
  void update_interest();
  void arm_timer();
  void finish(End end);

  loop::Loop& loop_;
  Setup setup_;
  std::function<void(End)> done_;
  loop::FdWatch client_watch_, server_watch_;
  loop::Timer timer_;
  Direction out_, in_;
  std::string held_;         // from the client, not approved yet
  std::uint64_t unseen_ = 0; // bytes of the client's that the filter need not see
  bool client_end_ = false;  // the client ended its side
  bool discard_ = false;     // what the client still sends is read and thrown away
  bool draining_ = false;    // the client has everything; wait for its end so that close() does not reset
  bool finished_ = false;
  std::size_t discarded_ = 0;
  Clock::time_point last_activity_, started_;
};

}  // namespace locki::gate
