#include "gate/splice_pipe.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace locki::gate {
namespace {

// What may be on the way in one direction. A pipe of this many bytes counts 64 pages of the 16,384 that the kernel lets
// one user have in pipes (pipe(7), pipe-user-pages-soft); beyond those, or where it is not allowed, a pipe stays as
// small as it was made.
constexpr std::size_t kPipeBytes = 256 << 10;

}  // namespace

SplicePipe::SplicePipe(SplicePipe&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), owner_(other.owner_), ends_(std::move(other.ends_)), held_(std::exchange(other.held_, 0)) {}

SplicePipe& SplicePipe::operator=(SplicePipe&& other) noexcept {
  if (this == &other) return *this;
  reset();
  pool_ = std::exchange(other.pool_, nullptr);
  owner_ = other.owner_;
  ends_ = std::move(other.ends_);
  held_ = std::exchange(other.held_, 0);
  return *this;
}

void SplicePipe::reset() {
  if (pool_ == nullptr) return;
  std::exchange(pool_, nullptr)->take_back(owner_, std::move(ends_), std::exchange(held_, 0) == 0);
}

std::optional<Transfer> SplicePipe::fill(int from, std::size_t most) {
  for (;;) {
    const ssize_t n =
        ::splice(from, nullptr, ends_.write.get(), nullptr, std::min(most, kPipeBytes), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      held_ += static_cast<std::size_t>(n);
      return Transfer{Transfer::State::kDone, static_cast<std::size_t>(n)};
    }
    if (n == 0) return Transfer{Transfer::State::kEnd, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Transfer{Transfer::State::kWouldBlock, 0};
    if (errno == EINVAL || errno == ENOSYS || errno == EPERM) return std::nullopt;
    return Transfer{Transfer::State::kBroken, 0};
  }
}

Transfer SplicePipe::drain(int to) {
  for (;;) {
    const ssize_t n = ::splice(ends_.read.get(), nullptr, to, nullptr, held_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      held_ -= static_cast<std::size_t>(n);
      return {Transfer::State::kDone, static_cast<std::size_t>(n)};
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {Transfer::State::kWouldBlock, 0};
    return {Transfer::State::kBroken, 0};
  }
}

PipePool::PipePool() { spare_.reserve(kSpare); }

SplicePipe PipePool::lend(const Address& owner) {
  const auto found = lent_to_.find(owner);
  if ((found != lent_to_.end() ? found->second : 0) >= kMost - lent_) return {};
  sys::Pipe ends;
  if (!spare_.empty()) {
    ends = std::move(spare_.back());
    spare_.pop_back();
  } else {
    auto made = sys::make_pipe();
    if (!made) return {};
    ends = std::move(*made);
    (void)::fcntl(ends.write.get(), F_SETPIPE_SZ, static_cast<int>(kPipeBytes));
  }
  ++lent_to_[owner];
  ++lent_;
  return {*this, owner, std::move(ends)};
}

void PipePool::take_back(const Address& owner, sys::Pipe ends, bool clean) {
  --lent_;
  if (const auto found = lent_to_.find(owner); --found->second == 0) lent_to_.erase(found);
  // The kernel is asked as well: a mistake in counting must not show one sandbox another's bytes.
  int left = 0;
  if (!clean || ::ioctl(ends.read.get(), FIONREAD, &left) != 0 || left != 0) return;
  if (spare_.size() < kSpare) spare_.push_back(std::move(ends));
}

}  // namespace locki::gate
