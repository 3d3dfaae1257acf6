// Reads the server name out of a TLS ClientHello without taking part in the handshake. Pure and bounded; RFC 8446
// section 4.1.2, RFC 6066 section 3. A hello may be spread over several records.
#pragma once

#include <string>
#include <string_view>

namespace locki::gate {

struct Sniffed {
  enum class State {
    kMore,       // so far it may become a ClientHello: call again with more
    kNotTls,     // the first bytes are not a TLS handshake
    kMalformed,  // it begins like one, but breaks the form or the limits
    kHello       // a whole ClientHello
  };
  State state = State::kMore;
  std::string server_name;  // as sent, not yet checked to be a host name; empty when there was none
  std::string reason;       // malformed: why
  std::size_t need = 0;     // more: calling again is of no use before there are so many bytes
};

// A ClientHello that takes more than this is refused: real ones, post-quantum key shares included, stay under 4 KiB.
inline constexpr std::size_t kMaxClientHello = 16 << 10;

Sniffed sniff_client_hello(std::string_view bytes);

// A fatal alert in a record of its own (RFC 8446, section 6): what a TLS client can be told instead of a silent end.
enum class Alert : unsigned char { kDecodeError = 50, kAccessDenied = 49, kInternalError = 80, kUnrecognizedName = 112 };
std::string alert_record(Alert alert);

}  // namespace locki::gate
