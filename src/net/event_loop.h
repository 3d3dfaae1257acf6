// A small event loop for one thread: what WebSockets and descriptor pumps (websocket.h, fd_stream.h) run on inside a blocking call.
// Everything but post() and stop() belongs to the thread that calls run(). Handlers run one at a time and must not block.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace locki::net {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void run();   // until stop() or nothing is left to wait for
  void stop();  // any thread
  void post(std::function<void()> task);  // any thread

  struct Impl;  // loop_impl.h, for net/ only
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// One shot at a time; setting it again, cancelling or destroying it forgets what was set.
class Timer {
 public:
  explicit Timer(EventLoop& loop);
  ~Timer();
  void after(std::chrono::milliseconds delay, std::function<void()> task);
  void cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace locki::net
