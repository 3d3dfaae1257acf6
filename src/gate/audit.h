// What went through the gate and what did not, a line of JSON each for a sys::LineLog. Holds names, addresses and counts,
// never a path, a header or content.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace locki::gate {

struct AuditRecord {
  enum class Event {
    kRefused,  // by policy, address rule or sniffing
    kFailed,   // allowed, but resolving or connecting did not work
    kAsked,    // held until the user answers
    kOpened,   // a connection stands
    kClosed    // it ended; bytes and duration are final
  };
  Event event = Event::kRefused;
  std::chrono::system_clock::time_point time;
  std::uint64_t connection = 0;  // joins kOpened and kClosed
  std::string sandbox;           // its name
  std::string sandbox_id;
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
std::string to_json(const AuditRecord& record);  // one line without its end; everything printable or escaped

}  // namespace locki::gate
