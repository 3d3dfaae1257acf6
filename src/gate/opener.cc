#include "gate/opener.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "gate/sniff.h"

namespace locki::gate {
namespace {

using Step = Opener::Step;
using State = Step::State;

constexpr char kTlsHandshake = 22;

Step bad(int status, std::string reason) { return {.state = State::kBad, .status = status, .reason = std::move(reason)}; }

RequestHead tunnel_to(Endpoint target) {
  RequestHead head;
  head.connect = true;
  head.target = std::move(target);
  return head;
}

// Both forms of HTTP: with a whole address or with a Host header.
class HttpOpener : public Opener {
 public:
  // Port 0: a proxy request.
  explicit HttpOpener(std::uint16_t port) : port_(port) {}

  Step take(std::string_view received) override {
    HeadResult parsed = port_ == 0 ? parse_request_head(received, searched_) : parse_origin_head(received, port_, searched_);
    searched_ = received.size();
    if (parsed.state == HeadResult::State::kBad) return bad(parsed.status, parsed.reason);
    if (parsed.state == HeadResult::State::kIncomplete) return {};
    head_ = std::move(parsed.head);
    return {.state = State::kTarget, .taken = parsed.size};
  }
  RequestHead& head() override { return head_; }
  std::unique_ptr<ClientFilter> filter() override {
    return head_.connect ? make_tls_filter(head_.target.host, head_.target.port == 443) : make_body_filter(head_);
  }
  std::string accepted() const override { return head_.connect ? "HTTP/1.1 200 Connection established\r\n\r\n" : ""; }
  std::string refused(int status, std::string_view reason) const override { return refusal(status, reason); }

 private:
  std::uint16_t port_;
  std::size_t searched_ = 0;
  RequestHead head_;
};

class SocksOpener : public Opener {
 public:
  Step take(std::string_view received) override {
    Step step;
    if (!greeted_) {
      if (received[0] != kVersion) return bad(400, "this is not SOCKS 5");
      if (received.size() < 2) return {};
      const std::size_t methods = octet(received[1]);
      if (received.size() < 2 + methods) return {};
      const bool without_login = received.substr(2, methods).find('\0') != std::string_view::npos;
      if (!without_login) return bad(400, "the SOCKS client offers no way without a login");
      greeted_ = true;
      step.taken = 2 + methods;
      step.reply = std::string("\5\0", 2);
      received.remove_prefix(step.taken);
    }
    read_request(received, step);
    return step;
  }
  RequestHead& head() override { return head_; }
  std::unique_ptr<ClientFilter> filter() override { return make_tls_filter(head_.target.host, head_.target.port == 443); }
  std::string accepted() const override { return answer(0); }
  std::string refused(int status, std::string_view) const override {
    if (!greeted_) return std::string("\5\xff", 2);  // no acceptable method
    return answer(code_ != 0 ? code_ : status == 403 ? kNotAllowed : status == 502 || status == 504 ? kUnreachable : kFailure);
  }

 private:
  static constexpr char kVersion = 5;
  static constexpr int kFailure = 1, kNotAllowed = 2, kUnreachable = 4, kNoSuchCommand = 7, kNoSuchAddress = 8;

  static std::size_t octet(char c) { return static_cast<unsigned char>(c); }

  // Version, reply, reserved, and an address that means nothing to a client of CONNECT.
  static std::string answer(int code) {
    std::string text("\5\0\0\1\0\0\0\0\0\0", 10);
    text[1] = static_cast<char>(code);
    return text;
  }

  static void mistake(Step& step, std::string reason) {
    step.state = State::kBad;
    step.reason = std::move(reason);
  }

  // VER CMD RSV ATYP ADDRESS PORT.
  void read_request(std::string_view bytes, Step& step) {
    if (bytes.size() < 5) return;
    if (bytes[0] != kVersion || bytes[2] != 0) return mistake(step, "the SOCKS request is malformed");
    if (bytes[1] != 1) {
      code_ = kNoSuchCommand;
      return mistake(step, "of SOCKS, only CONNECT is understood");
    }
    const std::size_t kind = octet(bytes[3]), at = kind == 3 ? 5 : 4, size = kind == 1 ? 4 : kind == 4 ? 16 : octet(bytes[4]);
    if (kind != 1 && kind != 3 && kind != 4) {
      code_ = kNoSuchAddress;
      return mistake(step, "the SOCKS request has an unknown kind of address");
    }
    if (bytes.size() < at + size + 2) return;
    Endpoint target;
    if (kind == 3) {
      auto host = parse_host(bytes.substr(at, size));
      if (!host) return mistake(step, host.error().message());
      target.host = std::move(*host);
    } else {
      Address address;
      address.family = kind == 1 ? Address::Family::kV4 : Address::Family::kV6;
      for (std::size_t i = 0; i < size; ++i) address.bytes[i] = static_cast<std::uint8_t>(octet(bytes[at + i]));
      target.host = {address.to_string(), address};
    }
    target.port = static_cast<std::uint16_t>(octet(bytes[at + size]) << 8 | octet(bytes[at + size + 1]));
    if (target.port == 0) return mistake(step, "port 0 is none");
    head_ = tunnel_to(std::move(target));
    step.state = State::kTarget;
    step.taken += at + size + 2;
  }

  bool greeted_ = false;
  int code_ = 0;
  RequestHead head_;
};

class TlsOpener : public Opener {
 public:
  explicit TlsOpener(std::uint16_t port) : port_(port) {}

  Step take(std::string_view received) override {
    if (received.size() < need_) return {};
    const Sniffed sniffed = sniff_client_hello(received);
    switch (sniffed.state) {
      case Sniffed::State::kMore:
        need_ = sniffed.need;
        return need_ > kMaxHeld ? bad(400, "the ClientHello is too long") : Step{};
      case Sniffed::State::kNotTls:
        return bad(400, "what came is not TLS");
      case Sniffed::State::kMalformed:
        return bad(400, sniffed.reason);
      case Sniffed::State::kHello:
        break;
    }
    alert_ = Alert::kUnrecognizedName;
    if (sniffed.server_name.empty()) return bad(400, "the TLS client names no server");
    auto host = parse_host(sniffed.server_name);
    if (!host) return bad(400, host.error().message());
    // RFC 6066, section 3: literal addresses are not permitted.
    if (host->address) return bad(400, "the TLS server name is an address");
    head_ = tunnel_to({std::move(*host), port_});
    return {.state = State::kTarget};
  }
  RequestHead& head() override { return head_; }
  // The hello has been seen, and it names the host that was decided on.
  std::unique_ptr<ClientFilter> filter() override { return nullptr; }
  std::string accepted() const override { return ""; }
  std::string refused(int status, std::string_view) const override {
    if (status == 403) return alert_record(Alert::kAccessDenied);
    return alert_record(status >= 500 ? Alert::kInternalError : alert_);
  }

 private:
  std::uint16_t port_;
  std::size_t need_ = 0;
  Alert alert_ = Alert::kDecodeError;
  RequestHead head_;
};

class FixedOpener : public Opener {
 public:
  explicit FixedOpener(Endpoint target) : head_(tunnel_to(std::move(target))) {}
  Step take(std::string_view) override { return {.state = State::kTarget}; }
  RequestHead& head() override { return head_; }
  // A client that was slow to speak may speak TLS all the same.
  std::unique_ptr<ClientFilter> filter() override { return make_tls_filter(head_.target.host, false); }
  std::string accepted() const override { return ""; }
  std::string refused(int, std::string_view) const override { return ""; }

 private:
  RequestHead head_;
};

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace

std::unique_ptr<Opener> make_proxy_opener() { return std::make_unique<HttpOpener>(std::uint16_t{0}); }
std::unique_ptr<Opener> make_socks_opener() { return std::make_unique<SocksOpener>(); }
std::unique_ptr<Opener> make_http_opener(std::uint16_t port) { return std::make_unique<HttpOpener>(port); }
std::unique_ptr<Opener> make_tls_opener(std::uint16_t port) { return std::make_unique<TlsOpener>(port); }
std::unique_ptr<Opener> make_fixed_opener(Endpoint target) { return std::make_unique<FixedOpener>(std::move(target)); }

std::unique_ptr<Opener> explicit_opener(char first) { return first == 5 ? make_socks_opener() : make_proxy_opener(); }

Guess transparent_opener(std::string_view received, std::uint16_t port) {
  if (received[0] == kTlsHandshake) return {.opener = make_tls_opener(port)};
  // A method and a blank: "SSH-2.0-…" and "AMQP\0" are something else.
  constexpr std::size_t kLongestMethod = 20;
  std::size_t letters = 0;
  while (letters < received.size() && is_capital(received[letters])) ++letters;
  if (letters == received.size() && letters <= kLongestMethod) return {.more = true};
  const bool http = letters > 0 && letters <= kLongestMethod && received[letters] == ' ';
  // Whatever comes to these two ports must name its host; what cannot is told so in the port's own words.
  if (port == 443 && !http) return {.opener = make_tls_opener(port)};
  if (port == 80 || http) return {.opener = make_http_opener(port)};
  return {};
}

}  // namespace locki::gate
