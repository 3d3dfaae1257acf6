#include "gate/filter.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "gate/sniff.h"

namespace locki::gate {
namespace {

Verdict refuse(std::string why, Alert alert) { return {.refuse = std::move(why), .farewell = alert_record(alert)}; }

class TlsFilter : public ClientFilter {
 public:
  TlsFilter(Host host, bool required) : host_(std::move(host)), required_(required) {}

  Verdict look(std::string_view held) override {
    begun_ = begun_ || !held.empty();
    if (held.size() < need_) return {};
    const Sniffed sniffed = sniff_client_hello(held);
    switch (sniffed.state) {
      case Sniffed::State::kMore:
        need_ = sniffed.need;
        if (held.size() >= kMaxHeld || need_ > kMaxHeld) return refuse("the ClientHello is too long", Alert::kDecodeError);
        return {};
      case Sniffed::State::kMalformed:
        return refuse(sniffed.reason, Alert::kDecodeError);
      case Sniffed::State::kNotTls:
        if (required_) return {.refuse = "what came to port 443 is not TLS"};
        return pass_all(held);
      case Sniffed::State::kHello:
        break;
    }
    if (!names_host(sniffed.server_name))
      return refuse(fmt::format("the TLS server name is \"{}\", not the host of the CONNECT",
                                printable(sniffed.server_name, 260)),
                    Alert::kUnrecognizedName);
    return pass_all(held);
  }

  // Without a byte from the client there is nothing that could be cut short.
  bool complete() const override { return done_ || !begun_; }
  bool impatient() const override { return required_ || begun_; }

 private:
  Verdict pass_all(std::string_view held) {
    done_ = true;
    return {.pass = held.size(), .transparent = true};
  }

  bool names_host(std::string_view server_name) const {
    // RFC 6066: an address is never sent as a server name, so without one is right for a literal only.
    if (server_name.empty()) return host_.address.has_value();
    const auto named = parse_host(server_name);
    return named && *named == host_;
  }

  Host host_;
  bool required_;
  bool begun_ = false, done_ = false;
  std::size_t need_ = 0;
};

class BodyFilter : public ClientFilter {
 public:
  explicit BodyFilter(const RequestHead& head) : framer_(head) {}

  Verdict look(std::string_view held) override {
    const auto taken = framer_.take(held);
    if (!taken) return {.refuse = "the request's chunks are malformed"};
    return {.pass = *taken, .unseen = *taken == held.size() ? framer_.plain() : 0, .end = framer_.done()};
  }
  void skipped(std::uint64_t size) override { framer_.skip(size); }

  bool complete() const override { return framer_.done(); }

 private:
  BodyFramer framer_;
};

}  // namespace

std::unique_ptr<ClientFilter> make_tls_filter(Host host, bool tls_required) {
  return std::make_unique<TlsFilter>(std::move(host), tls_required);
}

std::unique_ptr<ClientFilter> make_body_filter(const RequestHead& head) { return std::make_unique<BodyFilter>(head); }

}  // namespace locki::gate
