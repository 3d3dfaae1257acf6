// Copies what a hostile writer says into a file that never holds more than 1 MiB: when full, it starts again from the last 64 KiB.
#pragma once

#include <array>
#include <cstddef>

namespace jail {

class CappedLog {
 public:
  CappedLog(int in, int out) : in_(in), out_(out) {}  // descriptors of the caller's; `out` opened with O_APPEND
  int in() const { return in_; }                      // -1 after the end
  void copy_some();                                   // after poll(): one read

 private:
  static constexpr std::size_t kMax = 1 << 20;
  int in_, out_;
  std::size_t written_ = 0;
  std::size_t kept_ = 0;
  std::array<char, 64 << 10> tail_{};
};

}  // namespace jail
