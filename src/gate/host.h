// The one parser for host names and host:port. Pure. What it returns is canonical, so comparing texts compares hosts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gate/address.h"

namespace locki::gate {

struct Host {
  std::string name;                // lower case; for a literal its canonical text without brackets
  std::optional<Address> address;  // set: it was an IP literal
  bool operator==(const Host&) const = default;
};

// Letters, digits and hyphens in labels of 1 to 63, at most 253 in all; no trailing dot, no underscore, nothing beyond
// ASCII (punycode is). A name whose last label is a number in any base is an attempt at an IPv4 address: only the plain
// dotted quad is taken, as a literal. IPv6 literals stand in brackets. Else kProtocol.
Result<Host> parse_host(std::string_view text);

struct Endpoint {
  Host host;
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
  std::string to_string() const;  // "name:443", "[2001:db8::1]:443"
};

// "host:port" with a port of 1..65535 in plain decimal; without one the default, or kProtocol when there is none.
Result<Endpoint> parse_endpoint(std::string_view text, std::optional<std::uint16_t> default_port = std::nullopt);

// "http://user:secret@host:port/path" and the like: scheme in lower case, endpoint, rest. User information is dropped.
// Only for the user's own configuration; requests of a sandbox go through http_head.h. Schemes: http (80), https (443).
struct UrlParts {
  std::string scheme;
  Endpoint endpoint;
  std::string user_info;  // still percent-encoded; a secret
};
Result<UrlParts> parse_url(std::string_view url);

}  // namespace locki::gate
