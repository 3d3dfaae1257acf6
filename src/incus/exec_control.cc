#include "incus/exec_control.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace locki::incus {
namespace {

// Nobody types more signals than this while a connection is slow.
constexpr std::size_t kMaxQueued = 64;

}  // namespace

ExecControl::ExecControl() : impl_(std::make_unique<Impl>()) { impl_->wake.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
ExecControl::~ExecControl() = default;

// The messages of Incus' shared/api/instance_exec.go. "args" is a map of strings there, also for numbers.
void ExecControl::resize(int width, int height) {
  impl_->resize(fmt::format(R"({{"command":"window-resize","args":{{"width":"{}","height":"{}"}}}})", width, height));
}
void ExecControl::signal(int number) { impl_->push(fmt::format(R"({{"command":"signal","signal":{}}})", number)); }
void ExecControl::cancel() { impl_->cancel(); }

void ExecControl::Impl::push(std::string message) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() < kMaxQueued) queue_.push_back(std::move(message));
  }
  ring();
}

void ExecControl::Impl::resize(std::string message) {
  {
    const std::lock_guard lock(mutex_);
    resize_ = std::move(message);
  }
  ring();
}

void ExecControl::Impl::cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  ring();
}

void ExecControl::Impl::ring() {
  const std::uint64_t one = 1;
  (void)!write(wake.get(), &one, sizeof one);  // can only fail when it is readable already
}

std::vector<std::string> ExecControl::Impl::take(bool& cancelled) {
  std::uint64_t count = 0;
  (void)!read(wake.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  cancelled = cancelled_;
  auto messages = std::exchange(queue_, {});
  if (!resize_.empty()) messages.push_back(std::exchange(resize_, {}));
  return messages;
}

}  // namespace locki::incus
