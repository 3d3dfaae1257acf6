// An append-only log of lines that rotates: PATH, PATH.1, … One thread at a time; the owner locks if it has several.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

class LineLog {
 public:
  // Made 0600 when absent. At `max_bytes` PATH becomes PATH.1 and so on; `keep` old files stay.
  static Result<LineLog> open(std::filesystem::path path, std::uint64_t max_bytes = 8 << 20, int keep = 4);
  // Without the line end; what looks like a credential is left out (base/redact.h). Failures are logged once and otherwise
  // passed over: a full disk must not stop what is logged.
  void write(std::string_view line);

 private:
  LineLog(std::filesystem::path path, std::uint64_t max_bytes, int keep) : path_(std::move(path)), max_bytes_(max_bytes), keep_(keep) {}
  Result<> reopen();
  Result<> rotate();
  std::filesystem::path path_;
  std::uint64_t max_bytes_;
  int keep_;
  Fd fd_;
  std::uint64_t size_ = 0;
  bool complained_ = false;
};

// The last `limit` lines of such a log, the oldest first; PATH.1 is asked when PATH has too few. Absent: none.
Result<std::vector<std::string>> last_lines(const std::filesystem::path& path, std::size_t limit);

// RFC 3339 in UTC with milliseconds, for the lines.
std::string log_timestamp(std::chrono::system_clock::time_point time);

}  // namespace locki::sys
