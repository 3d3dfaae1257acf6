// One function a parser: feeds it any bytes and aborts when what comes out breaks the parser's promises. Shared by the
// mutation test, which runs everywhere, and the fuzz targets, which need clang.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "gate/http_head.h"
#include "gate/opener.h"
#include "gate/policy.h"
#include "gate/registries.h"
#include "gate/sniff.h"

namespace locki::gate::testing {

inline void require(bool holds) {
  if (!holds) std::abort();
}

inline void host_target(std::string_view bytes) {
  if (const auto host = parse_host(bytes)) {
    require(!host->name.empty() && host->name.size() <= 253);
    for (char c : host->name)
      require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || (host->address && c == ':'));
    const bool v6 = host->address && host->address->family == Address::Family::kV6;
    require(parse_host(v6 ? "[" + host->name + "]" : host->name).value() == *host);  // canonical
    if (host->address) (void)forbidden(*host->address);
    // What is no literal here must not be one for the C library's lenient parser either: that ends in a number.
    if (!host->address)
      require(host->name.back() < '0' || host->name.back() > '9' ||
              host->name.find_first_not_of("0123456789.") != host->name.npos);
  }
  if (const auto endpoint = parse_endpoint(bytes, 80))
    require(parse_endpoint(endpoint->to_string()).value() == *endpoint);
  (void)parse_url(bytes);
}

inline void http_target(std::string_view bytes) {
  const HeadResult result = parse_request_head(bytes);
  if (result.state == HeadResult::State::kComplete) {
    require(result.size <= bytes.size() && bytes.substr(0, result.size).ends_with("\r\n\r\n"));
    // Whatever came in, what goes out is one request with one host, and reads back as such.
    const RequestHead& head = result.head;
    if (!head.connect) {
      const std::string forwarded = head_for_upstream(head, "");
      const HeadResult again = parse_request_head(forwarded);
      require(again.state == HeadResult::State::kComplete && again.size == forwarded.size());
      require(again.head.target == head.target && again.head.path == head.path && again.head.body == head.body);
      require(again.head.content_length == head.content_length);
    }
    BodyFramer framer(head);
    const std::string_view rest = bytes.substr(result.size);
    const auto taken = framer.take(rest);
    if (taken) require(*taken <= rest.size() && (framer.done() || *taken == rest.size()));
    // What may pass unseen leaves the end where it was.
    BodyFramer skipping(head);
    std::size_t at = 0;
    bool malformed = false;
    while (at < rest.size() && !skipping.done() && !malformed) {
      const std::uint64_t plain = std::min<std::uint64_t>(skipping.plain(), rest.size() - at);
      skipping.skip(plain);
      at += plain;
      if (plain == 0) malformed = !skipping.take(rest.substr(at++, 1));
    }
    require(malformed == !taken.has_value() && (malformed || (at == *taken && skipping.done() == framer.done())));
  }
  if (result.state == HeadResult::State::kBad)
    require(refusal(result.status, result.reason).find("\r\n\r\n") != std::string::npos);
  const ReplyHead reply = parse_reply_head(bytes);
  if (reply.state == HeadResult::State::kComplete)
    require(reply.size <= bytes.size() && reply.status >= 100 && reply.status <= 999);
}

// Whatever comes, in whatever pieces: what an opener takes was there, and the host that it names is one.
inline void opener_target(std::string_view bytes) {
  if (bytes.empty()) return;
  for (const std::uint16_t port : {std::uint16_t{3128}, std::uint16_t{80}, std::uint16_t{443}, std::uint16_t{22}}) {
    std::unique_ptr<Opener> opener = port == 3128 ? explicit_opener(bytes[0]) : transparent_opener(bytes, port).opener;
    if (!opener) continue;
    std::string received;
    for (const char c : bytes) {
      received += c;
      const Opener::Step step = opener->take(received);
      require(step.taken <= received.size());
      received.erase(0, step.taken);
      if (step.state == Opener::Step::State::kBad) (void)opener->refused(step.status, step.reason);
      if (step.state == Opener::Step::State::kTarget) {
        const Endpoint& target = opener->head().target;
        require(parse_endpoint(target.to_string()).value() == target);
        require(port == 3128 || target.port == port);
        (void)opener->accepted();
        (void)opener->filter();
      }
      if (step.state != Opener::Step::State::kMore) break;
    }
  }
}

inline void sniff_target(std::string_view bytes) {
  const Sniffed sniffed = sniff_client_hello(bytes);
  if (sniffed.state == Sniffed::State::kMore) require(sniffed.need > bytes.size());
  if (sniffed.state == Sniffed::State::kHello)
    require(bytes.find(sniffed.server_name) != bytes.npos || bytes.size() > sniffed.server_name.size());
  // A verdict never changes with what follows it, except for more of the same record.
  if (sniffed.state == Sniffed::State::kNotTls)
    require(sniff_client_hello(std::string(bytes) + "x").state == Sniffed::State::kNotTls);
}

inline void rules_target(std::string_view bytes) {
  if (const auto rules = parse_rules(bytes, "fuzz")) {
    std::string text;
    for (const Rule& rule : *rules) text += rule.to_string() + "\n";
    require(parse_rules(text, "fuzz").value() == *rules);
  }
  (void)hosts_in_npmrc(bytes);
  (void)hosts_in_pip_conf(bytes);
  (void)hosts_in_apt_list(bytes);
  (void)hosts_in_apt_sources(bytes);
  (void)hosts_in_go_env(bytes);
}

}  // namespace locki::gate::testing
