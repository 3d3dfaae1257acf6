#include "gate/http_head.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace locki::gate {
namespace {

using State = HeadResult::State;
constexpr std::size_t kMaxHeaders = 128, kMaxTarget = 16 << 10, kMaxMethod = 32;

// RFC 9110, section 5.6.2.
bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }
// Visible bytes, space, tab and obs-text; no other control bytes.
bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); });
}
bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

HeadResult bad(int status, std::string reason) {
  return {.state = State::kBad, .status = status, .reason = std::move(reason)};
}

// Takes one CRLF-ended line off the front.
std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end);
  rest = end == rest.npos ? std::string_view() : rest.substr(end + 2);
  return line;
}

// From the start of the path on; a fragment is the client's own business.
std::string path_of(std::string_view text) {
  text = text.substr(0, text.find('#'));
  return text.starts_with('/') ? std::string(text) : "/" + std::string(text);
}

std::optional<HeadResult> parse_target(std::string_view target, RequestHead& head) {
  if (target.size() > kMaxTarget) return bad(414, "the address is too long");
  if (!is_visible_ascii(target)) return bad(400, "the address has characters that do not belong there");
  if (head.connect) {
    auto endpoint = parse_endpoint(target);
    if (!endpoint) return bad(400, endpoint.error().message());
    head.target = std::move(*endpoint);
    return std::nullopt;
  }
  if (target.front() == '/' || target == "*") return bad(400, "this is a proxy: the request needs a whole address");
  if (ascii_lower(target.substr(0, 8)) == "https://") return bad(400, "https goes through CONNECT");
  if (ascii_lower(target.substr(0, 7)) != "http://") return bad(400, "only http addresses and CONNECT are understood");
  target.remove_prefix(7);
  const std::size_t end = target.find_first_of("/?#");
  const std::string_view authority = target.substr(0, end);
  if (authority.find('@') != authority.npos) return bad(400, "an address with user information is not accepted");
  auto endpoint = parse_endpoint(authority, 80);
  if (!endpoint) return bad(400, endpoint.error().message());
  head.target = std::move(*endpoint);
  head.path = path_of(end == target.npos ? std::string_view() : target.substr(end));
  return std::nullopt;
}

enum class Form { kProxy, kOrigin };

std::optional<HeadResult> parse_request_line(std::string_view line, Form form, RequestHead& head) {
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || first == last) return bad(400, "this is no HTTP request");
  const std::string_view method = line.substr(0, first), target = line.substr(first + 1, last - first - 1),
                         version = line.substr(last + 1);
  if (!is_token(method) || method.size() > kMaxMethod || target.empty()) return bad(400, "this is no HTTP request");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad(505, "only HTTP/1.0 and HTTP/1.1 are understood");
  head.minor = version.back() - '0';
  head.method = method;
  head.connect = method == "CONNECT";
  if (form == Form::kProxy) return parse_target(target, head);
  if (head.connect) return bad(400, "this is no proxy");
  if (target.front() != '/') return parse_target(target, head);  // RFC 9112, section 3.2.2: a server takes a whole address, too
  if (target.size() > kMaxTarget) return bad(414, "the address is too long");
  if (!is_visible_ascii(target)) return bad(400, "the address has characters that do not belong there");
  head.path = path_of(target);
  return std::nullopt;
}

// RFC 9112, section 3.2: exactly one, and it agrees with a whole address when there is one.
std::optional<HeadResult> find_host(std::uint16_t port, RequestHead& head) {
  std::optional<Endpoint> named;
  for (const auto& [name, value] : head.headers) {
    if (ascii_lower(name) != "host") continue;
    if (named) return bad(400, "there are two Host headers");
    auto endpoint = parse_endpoint(value, 80);
    if (!endpoint) return bad(400, endpoint.error().message());
    named = std::move(*endpoint);
  }
  if (!named) return bad(400, "without a Host header nobody knows where this is to go");
  if (!head.target.host.name.empty() && head.target != *named) return bad(400, "the Host header names another host than the address");
  if (named->port != port) return bad(400, fmt::format("the Host header names port {}, this is port {}", named->port, port));
  head.target = std::move(*named);
  return std::nullopt;
}

std::optional<HeadResult> parse_headers(std::string_view rest, RequestHead& head) {
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (line.empty()) break;
    const std::size_t colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon))) return bad(400, "a header is malformed");
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_value(value)) return bad(400, "a header has control characters");
    if (head.headers.size() == kMaxHeaders) return bad(431, "too many headers");
    head.headers.emplace_back(line.substr(0, colon), value);
  }
  return std::nullopt;
}

std::optional<HeadResult> find_body(RequestHead& head) {
  std::optional<std::uint64_t> length;
  bool chunked = false;
  for (const auto& [name, value] : head.headers) {
    const std::string lower = ascii_lower(name);
    if (lower == "content-length") {
      const auto number = parse_u64(value);
      if (!number || length) return bad(400, "Content-Length is not one plain number");
      length = number;
    } else if (lower == "transfer-encoding") {
      if (chunked || ascii_lower(value) != "chunked") return bad(501, "the only transfer coding understood is chunked");
      chunked = true;
    }
  }
  if (head.connect) {
    if (chunked || length.value_or(0) != 0) return bad(400, "CONNECT has no body");
    return std::nullopt;
  }
  if (chunked && (length || head.minor == 0))
    return bad(400, "Transfer-Encoding does not go with Content-Length or HTTP/1.0");
  if (chunked) head.body = RequestHead::Body::kChunked;
  if (length) {
    head.body = RequestHead::Body::kLength;
    head.content_length = *length;
  }
  return std::nullopt;
}

bool is_connection_option(const RequestHead& head, std::string_view wanted) {
  for (const auto& [name, value] : head.headers) {
    if (ascii_lower(name) != "connection") continue;
    for (const std::string& option : split(value, ','))
      if (ascii_lower(trim(option)) == wanted) return true;
  }
  return false;
}

// Anything else that asks for an upgrade is passed on without it, which a server has to take (RFC 9110, section 7.8).
bool wants_websocket(const RequestHead& head) {
  if (head.method != "GET" || head.minor != 1 || head.body != RequestHead::Body::kNone) return false;
  const auto is_upgrade = [](const auto& header) { return ascii_lower(header.first) == "upgrade"; };
  const auto first = std::find_if(head.headers.begin(), head.headers.end(), is_upgrade);
  return first != head.headers.end() && std::count_if(first, head.headers.end(), is_upgrade) == 1 && ascii_lower(first->second) == "websocket" &&
         is_connection_option(head, "upgrade");
}

std::string host_value(const Endpoint& target) {
  if (target.port != 80) return target.to_string();
  const std::string whole = target.to_string();
  return whole.substr(0, whole.size() - 3);
}

// Those of RFC 9110, section 7.6.1, those that Connection names, and what only a proxy may see. Host is written anew.
// The two headers that frame the body always stay, also when Connection names them.
std::set<std::string> dropped_headers(const RequestHead& head) {
  std::set<std::string> dropped = {"connection",          "proxy-connection",   "keep-alive",     "te",  "upgrade",
                                   "proxy-authorization", "proxy-authenticate", "http2-settings", "host"};
  for (const auto& [name, value] : head.headers)
    if (ascii_lower(name) == "connection")
      for (const std::string& option : split(value, ',')) dropped.insert(ascii_lower(trim(option)));
  dropped.erase("content-length");
  dropped.erase("transfer-encoding");
  return dropped;
}

std::string forwarded(const RequestHead& head, std::string_view target, std::string_view authorization, std::string_view last) {
  std::string text =
      fmt::format("{} {} HTTP/1.{}\r\nHost: {}\r\n", head.method, target, head.minor, host_value(head.target));
  const std::set<std::string> dropped = dropped_headers(head);
  for (const auto& [name, value] : head.headers)
    if (!dropped.contains(ascii_lower(name))) text += fmt::format("{}: {}\r\n", name, value);
  if (!authorization.empty()) text += fmt::format("Proxy-Authorization: {}\r\n", authorization);
  return text + std::string(last) + "\r\n";
}

constexpr std::string_view kClose = "Connection: close\r\n", kUpgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

std::string_view phrase_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 408:
      return "Request Timeout";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Refused";
  }
}

}  // namespace

namespace {

HeadResult parse_head(std::string_view bytes, Form form, std::uint16_t port, std::size_t search_from) {
  // Something that is not even the beginning of a method (TLS, SOCKS) is told at once instead of after a timeout.
  if (!bytes.empty() && !is_token_char(bytes.front())) return bad(400, "this is no HTTP request");
  const std::size_t end = bytes.find("\r\n\r\n", search_from > 3 ? search_from - 3 : 0);
  if (end == bytes.npos) return {};
  HeadResult result{.state = State::kComplete, .size = end + 4};
  std::string_view rest = bytes.substr(0, result.size);
  if (auto problem = parse_request_line(next_line(rest), form, result.head)) return *problem;
  if (auto problem = parse_headers(rest, result.head)) return *problem;
  if (form == Form::kOrigin)
    if (auto problem = find_host(port, result.head)) return *problem;
  if (auto problem = find_body(result.head)) return *problem;
  result.head.websocket = wants_websocket(result.head);
  return result;
}

}  // namespace

HeadResult parse_request_head(std::string_view bytes, std::size_t search_from) {
  return parse_head(bytes, Form::kProxy, 0, search_from);
}

HeadResult parse_origin_head(std::string_view bytes, std::uint16_t port, std::size_t search_from) {
  return parse_head(bytes, Form::kOrigin, port, search_from);
}

std::string head_for_origin(const RequestHead& head) { return forwarded(head, head.path, "", head.websocket ? kUpgrade : kClose); }

std::string head_for_upstream(const RequestHead& head, std::string_view authorization) {
  return forwarded(head, "http://" + host_value(head.target) + head.path, authorization, kClose);
}

std::string connect_for_upstream(const Endpoint& target, std::string_view authorization) {
  std::string text = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", target.to_string());
  if (!authorization.empty()) text += fmt::format("Proxy-Authorization: {}\r\n", authorization);
  return text + "\r\n";
}

ReplyHead parse_reply_head(std::string_view bytes) {
  constexpr std::string_view kVersion = "HTTP/1.";
  const std::string_view start = bytes.substr(0, kVersion.size());
  if (start != kVersion.substr(0, start.size())) return {.state = State::kBad};
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == bytes.npos) return {};
  if (end < 12 || (bytes[7] != '0' && bytes[7] != '1') || bytes[8] != ' ') return {.state = State::kBad};
  const auto status = parse_u64(bytes.substr(9, 3));
  if (!status || *status < 100 || (bytes[12] != ' ' && bytes[12] != '\r')) return {.state = State::kBad};
  return {.state = State::kComplete, .size = end + 4, .status = static_cast<int>(*status)};
}

std::string refusal(int status, std::string_view reason) {
  // printable() lets letters beyond ASCII through; a reason phrase had better not have them.
  std::string line;
  for (char c : printable(reason, 600))
    if (c >= 0x20 && c < 0x7f) line += c;
  const std::string phrase = line.empty() ? std::string(phrase_of(status)) : line;
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\nProxy-Connection: "
      "close\r\n\r\n{}\n",
      status, phrase, phrase.size() + 1, phrase);
}

}  // namespace locki::gate
