#include "gate/host.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"

namespace locki::gate {
namespace {

constexpr std::size_t kMaxName = 253, kMaxLabel = 63;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// As in the URL standard: "127.1", "0x7f.1" and "2130706433" reach 127.0.0.1 through inet_aton in many resolvers.
bool is_number(std::string_view label) {
  if (std::all_of(label.begin(), label.end(), is_digit)) return true;
  return label.size() >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X') &&
         std::all_of(label.begin() + 2, label.end(), is_hex);
}

tl::unexpected<Error> bad_host(std::string_view text, std::string_view why) {
  return fail(ErrorKind::kProtocol, fmt::format("\"{}\" is not a host name: {}", printable(text, 80), why));
}

}  // namespace

Result<Host> parse_host(std::string_view text) {
  if (text.empty()) return bad_host(text, "it is empty");
  if (text.front() == '[') {
    if (text.size() < 4 || text.back() != ']') return bad_host(text, "the bracket is not closed");
    const auto address = Address::parse(text.substr(1, text.size() - 2));
    if (!address || address->family != Address::Family::kV6) return bad_host(text, "no IPv6 address in the brackets");
    return Host{address->to_string(), address};
  }
  if (text.size() > kMaxName) return bad_host(text, "it is longer than 253 characters");
  std::size_t label_start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '.') {
      if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '-')
        return bad_host(text, "only letters, digits, hyphens and dots are allowed");
      continue;
    }
    const std::string_view label = text.substr(label_start, i - label_start);
    if (label.empty()) return bad_host(text, "a part between dots is empty");
    if (label.size() > kMaxLabel) return bad_host(text, "a part between dots is longer than 63 characters");
    if (label.front() == '-' || label.back() == '-') return bad_host(text, "a part begins or ends with a hyphen");
    if (i == text.size() && is_number(label)) {
      const auto address = Address::parse(text);
      if (!address) return bad_host(text, "it ends in a number, but is no dotted IPv4 address");
      return Host{address->to_string(), address};
    }
    label_start = i + 1;
  }
  return Host{ascii_lower(text), std::nullopt};
}

std::string Endpoint::to_string() const {
  const bool v6 = host.address && host.address->family == Address::Family::kV6;
  return v6 ? fmt::format("[{}]:{}", host.name, port) : fmt::format("{}:{}", host.name, port);
}

Result<Endpoint> parse_endpoint(std::string_view text, std::optional<std::uint16_t> default_port) {
  std::string_view host = text;
  std::optional<std::string_view> port;
  const std::size_t from = !text.empty() && text.front() == '[' ? text.find(']') : 0;
  if (from == text.npos) return bad_host(text, "the bracket is not closed");
  if (const std::size_t colon = text.find(':', from); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  Endpoint endpoint;
  TRY_ASSIGN(endpoint.host, parse_host(host));
  if (!port) {
    if (!default_port) return fail(ErrorKind::kProtocol, fmt::format("\"{}\" has no port", printable(text, 80)));
    endpoint.port = *default_port;
    return endpoint;
  }
  const auto number = port->size() <= 5 ? parse_u64(*port) : std::nullopt;
  if (!number || *number == 0 || *number > 65535 || port->front() == '0')
    return fail(ErrorKind::kProtocol, fmt::format("\"{}\" has no valid port", printable(text, 80)));
  endpoint.port = static_cast<std::uint16_t>(*number);
  return endpoint;
}

Result<UrlParts> parse_url(std::string_view url) {
  UrlParts parts;
  const std::size_t colon = url.find("://");
  if (colon == url.npos) return fail(ErrorKind::kProtocol, "not a URL: no scheme");
  parts.scheme = ascii_lower(url.substr(0, colon));
  if (parts.scheme != "http" && parts.scheme != "https")
    return fail(ErrorKind::kProtocol, "only http and https URLs are understood");
  std::string_view authority = url.substr(colon + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (const std::size_t at = authority.rfind('@'); at != authority.npos) {
    parts.user_info = authority.substr(0, at);
    authority = authority.substr(at + 1);
  }
  const std::uint16_t default_port = parts.scheme == "http" ? 80 : 443;
  TRY_ASSIGN(parts.endpoint, parse_endpoint(authority, default_port));
  return parts;
}

}  // namespace locki::gate
