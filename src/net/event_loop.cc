#include "net/event_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/loop_impl.h"

namespace locki::net {

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  impl_->context.restart();
  impl_->context.run();
}

void EventLoop::stop() { impl_->context.stop(); }

void EventLoop::post(std::function<void()> task) { boost::asio::post(impl_->context, std::move(task)); }

struct Timer::Impl {
  explicit Impl(EventLoop& loop) : timer(loop.impl().context) {}
  boost::asio::steady_timer timer;
  std::uint64_t generation = 0;  // a handler that is queued already when the timer is set anew must not run
};

Timer::Timer(EventLoop& loop) : impl_(std::make_shared<Impl>(loop)) {}
Timer::~Timer() { cancel(); }

void Timer::after(std::chrono::milliseconds delay, std::function<void()> task) {
  const std::uint64_t mine = ++impl_->generation;
  impl_->timer.expires_after(delay);
  impl_->timer.async_wait([impl = impl_, mine, task = std::move(task)](const boost::system::error_code& error) {
    if (!error && impl->generation == mine) task();
  });
}

void Timer::cancel() {
  ++impl_->generation;
  impl_->timer.cancel();
}

}  // namespace locki::net
