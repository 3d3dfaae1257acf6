#include "vm/qemu/jail/capped_log.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace jail {

void CappedLog::copy_some() {
  std::array<char, 16 << 10> chunk;
  const ssize_t n = ::read(in_, chunk.data(), chunk.size());
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    ::close(in_);
    in_ = -1;
    return;
  }
  const auto size = static_cast<std::size_t>(n);
  if (kept_ + size > tail_.size()) {
    const std::size_t drop = kept_ + size - tail_.size();
    std::memmove(tail_.data(), tail_.data() + drop, kept_ - drop);
    kept_ -= drop;
  }
  std::memcpy(tail_.data() + kept_, chunk.data(), size);
  kept_ += size;
  // A full disk loses log lines and nothing else.
  if (written_ + size > kMax && ::ftruncate(out_, 0) == 0) {
    [[maybe_unused]] const auto restarted = ::write(out_, tail_.data(), kept_);
    written_ = kept_;
    return;
  }
  [[maybe_unused]] const auto copied = ::write(out_, chunk.data(), size);
  written_ += size;
}

}  // namespace jail
