#include "loop/loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>

#include "base/log.h"
#include "base/strings.h"

namespace locki::loop {
namespace asio = boost::asio;
using boost::system::error_code;

struct Loop::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

struct Timer::State {
  explicit State(asio::io_context& context) : timer(context) {}
  asio::steady_timer timer;
  std::function<void()> callback;
  bool live = true;
};

void Timer::cancel() {
  if (!state_) return;
  state_->live = false;
  state_->timer.cancel();
  state_.reset();
}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

// The shared state outlives the handle while a handler is queued or running, so a callback may destroy its own handle.
struct FdWatch::State : std::enable_shared_from_this<FdWatch::State> {
  explicit State(asio::io_context& context) : descriptor(context) {}
  asio::posix::stream_descriptor descriptor;
  std::function<void(Ready)> callback;
  Interest interest;
  bool waiting_read = false, waiting_write = false;
  bool live = true;

  void arm() {
    if (interest.read && !waiting_read) {
      waiting_read = true;
      wait(asio::posix::stream_descriptor::wait_read, &State::waiting_read, {.read = true});
    }
    if (interest.write && !waiting_write) {
      waiting_write = true;
      wait(asio::posix::stream_descriptor::wait_write, &State::waiting_write, {.write = true});
    }
  }

  void wait(asio::posix::stream_descriptor::wait_type type, bool State::*waiting, Ready ready) {
    descriptor.async_wait(type, [self = shared_from_this(), waiting, ready](const error_code& error) {
      self.get()->*waiting = false;
      if (!self->live || error == asio::error::operation_aborted) return;
      // A wait that was pending when the interest ended is dropped here instead of being cancelled: that costs nothing.
      if ((ready.read && self->interest.read) || (ready.write && self->interest.write)) self->callback(ready);
      if (self->live) self->arm();
    });
  }
};

void FdWatch::want(Interest interest) {
  if (!state_) return;
  state_->interest = interest;
  state_->arm();
}

void FdWatch::cancel() {
  if (!state_) return;
  state_->live = false;
  state_->interest = {};
  // release() leaves the descriptor open and takes it out of the poll set.
  try {
    state_->descriptor.release();
  } catch (const std::exception& error) {
    log::error("event loop: cannot release a descriptor: {}", printable(error.what()));
  }
  state_.reset();
}

FdWatch& FdWatch::operator=(FdWatch&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

struct SignalWatch::State : std::enable_shared_from_this<SignalWatch::State> {
  explicit State(asio::io_context& context) : signals(context) {}
  asio::signal_set signals;
  std::function<void(int)> callback;
  bool live = true;

  void arm() {
    signals.async_wait([self = shared_from_this()](const error_code& error, int number) {
      if (error || !self->live) return;
      self->callback(number);
      if (self->live) self->arm();
    });
  }
};

void SignalWatch::cancel() {
  if (!state_) return;
  state_->live = false;
  error_code ignored;
  state_->signals.clear(ignored);
  state_->signals.cancel(ignored);
  state_.reset();
}

SignalWatch& SignalWatch::operator=(SignalWatch&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::run() {
  for (;;) {
    try {
      impl_->context.run();
      return;
    } catch (const std::exception& error) {
      log::error("event loop: a callback threw: {}", printable(error.what()));
    } catch (...) {
      log::error("event loop: a callback threw something unknown");
    }
  }
}

void Loop::stop() { impl_->context.stop(); }

void Loop::post(std::function<void()> work) { asio::post(impl_->context, std::move(work)); }

Timer Loop::after(std::chrono::milliseconds delay, std::function<void()> callback) {
  auto state = std::make_shared<Timer::State>(impl_->context);
  state->callback = std::move(callback);
  state->timer.expires_after(delay);
  state->timer.async_wait([state](const error_code& error) {
    if (!error && state->live) state->callback();
  });
  return Timer(std::move(state));
}

Result<FdWatch> Loop::watch_fd(int fd, Interest interest, std::function<void(Ready)> callback) {
  auto state = std::make_shared<FdWatch::State>(impl_->context);
  state->callback = std::move(callback);
  error_code error;
  state->descriptor.assign(fd, error);
  if (error) return fail(ErrorKind::kFailed, "cannot watch a descriptor: " + error.message());
  FdWatch watch(std::move(state));
  watch.want(interest);
  return watch;
}

Result<SignalWatch> Loop::watch_signals(std::initializer_list<int> numbers, std::function<void(int)> callback) {
  auto state = std::make_shared<SignalWatch::State>(impl_->context);
  state->callback = std::move(callback);
  for (int number : numbers) {
    error_code error;
    state->signals.add(number, error);
    if (error) return fail(ErrorKind::kFailed, "cannot watch a signal: " + error.message());
  }
  state->arm();
  return SignalWatch(std::move(state));
}

}  // namespace locki::loop
