// What went through the gate and what did not: JSON lines, append-only, rotated. Holds names, addresses and counts,
// never a path, a header or content. One thread (the gate's).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::gate {

struct AuditRecord {
  enum class Event {
    kRefused,  // by policy, address rule or sniffing
    kFailed,   // allowed, but resolving or connecting did not work
    kOpened,   // a connection stands
    kClosed    // it ended; bytes and duration are final
  };
  Event event = Event::kRefused;
  std::chrono::system_clock::time_point time;
  std::uint64_t connection = 0;  // joins kOpened and kClosed
  std::string origin;            // the listener's label
  std::string host;
  std::uint16_t port = 0;
  std::string address;  // what was connected to, or refused after resolution
  std::string rule;
  std::string reason;
  std::uint64_t bytes_out = 0;  // from the sandbox
  std::uint64_t bytes_in = 0;   // to it
  std::chrono::milliseconds duration{0};
};
std::string_view to_string(AuditRecord::Event event);
std::string to_json_line(const AuditRecord& record);  // with the line end; everything printable ASCII or escaped

class AuditLog {
 public:
  // Made 0600 when absent. At `max_bytes` PATH becomes PATH.1 and so on; `keep` old files stay.
  static Result<AuditLog> open(std::filesystem::path path, std::uint64_t max_bytes = 8 << 20, int keep = 4);
  // Failures are logged once and otherwise passed over: a full disk must not stop the network.
  void write(const AuditRecord& record);

 private:
  AuditLog(std::filesystem::path path, std::uint64_t max_bytes, int keep)
      : path_(std::move(path)), max_bytes_(max_bytes), keep_(keep) {}
  Result<> reopen();
  Result<> rotate();
  std::filesystem::path path_;
  std::uint64_t max_bytes_;
  int keep_;
  sys::Fd fd_;
  std::uint64_t size_ = 0;
  bool complained_ = false;
};

}  // namespace locki::gate
