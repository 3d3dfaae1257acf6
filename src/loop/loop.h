// An event loop: timers, descriptors that become ready, signals, and work posted from other threads. One thread runs
// it; everything but post() and stop() belongs to that thread (or to the time before run()). Handles cancel in their
// destructor and may be destroyed inside their own callback; they must go before the loop does. A callback that throws
// is logged and the loop goes on. Built on boost::asio::io_context, which appears in loop.cc only.
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>

#include "base/result.h"

namespace locki::loop {

struct Ready {
  bool read = false;   // readable, at its end, or broken
  bool write = false;  // writable or broken
};
using Interest = Ready;

// A one-shot timer. Empty (default), pending or done.
class Timer {
 public:
  Timer() = default;
  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer() { cancel(); }
  void cancel();

 private:
  friend class Loop;
  struct State;
  explicit Timer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// A watched descriptor, which stays the caller's: destroy the watch before closing the descriptor. At most one watch a
// descriptor. Level-triggered: the callback comes again as long as the descriptor is ready and the interest stands.
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(FdWatch&&) noexcept = default;
  FdWatch& operator=(FdWatch&& other) noexcept;
  ~FdWatch() { cancel(); }
  void want(Interest interest);  // cheap when nothing changes; no interest at all is fine
  void cancel();
  explicit operator bool() const { return state_ != nullptr; }

 private:
  friend class Loop;
  struct State;
  explicit FdWatch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

class SignalWatch {
 public:
  SignalWatch() = default;
  SignalWatch(SignalWatch&&) noexcept = default;
  SignalWatch& operator=(SignalWatch&& other) noexcept;
  ~SignalWatch() { cancel(); }
  void cancel();

 private:
  friend class Loop;
  struct State;
  explicit SignalWatch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();                             // until stop(); a loop that was stopped stays stopped
  void stop();                            // from any thread; also before run()
  void post(std::function<void()> work);  // from any thread; runs on the loop's thread, in order

  Timer after(std::chrono::milliseconds delay, std::function<void()> callback);
  // kFailed when it is no open descriptor. A regular file is always ready, as for poll(2).
  Result<FdWatch> watch_fd(int fd, Interest interest, std::function<void(Ready)> callback);
  // The signals are taken over process-wide while the watch lives.
  Result<SignalWatch> watch_signals(std::initializer_list<int> numbers, std::function<void(int)> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::loop
