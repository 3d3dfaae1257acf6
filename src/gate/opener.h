// How a client says where it wants to go: what it sends before the decision, and how it is answered. One object a connection.
// Pure state machines over bytes, no sockets; bounded by the caller, who never shows more than GateLimits::head_bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gate/filter.h"
#include "gate/http_head.h"

namespace locki::gate {

class Opener {
 public:
  struct Step {
    enum class State { kMore, kTarget, kBad };
    State state = State::kMore;
    std::size_t taken = 0;  // so many bytes are done with
    std::string reply;      // send this now
    int status = 400;       // bad: for refused(), and why
    std::string reason;
  };
  virtual ~Opener() = default;
  // `received`: all bytes not taken yet, at least one. Called again with more after kMore. What is not taken with kTarget goes to the
  // server, through filter().
  virtual Step take(std::string_view received) = 0;
  // After kTarget: where to (connect: a tunnel, else a request to be passed on).
  virtual RequestHead& head() = 0;
  // Looks at what passes from now on; null: everything may.
  virtual std::unique_ptr<ClientFilter> filter() = 0;
  // What the client is told when the connection stands, and when it will not: 403 refused, 502 and 504 failed, 4xx its own mistake.
  virtual std::string accepted() const = 0;
  virtual std::string refused(int status, std::string_view reason) const = 0;
};

// HTTP/1.1 to a proxy: CONNECT or a request with a whole address.
std::unique_ptr<Opener> make_proxy_opener();
// SOCKS 5 (RFC 1928) without authentication: CONNECT to a name or an address.
std::unique_ptr<Opener> make_socks_opener();
// A request to the server itself at `port`; the Host header says which.
std::unique_ptr<Opener> make_http_opener(std::uint16_t port);
// A TLS handshake with the server itself; the server name says which.
std::unique_ptr<Opener> make_tls_opener(std::uint16_t port);
// A protocol that names no host; the port stands for it.
std::unique_ptr<Opener> make_fixed_opener(Endpoint target);

// By what comes first (at least one byte): to the proxy's port, and to any other.
std::unique_ptr<Opener> explicit_opener(char first);
struct Guess {
  bool more = false;               // ask again with more
  std::unique_ptr<Opener> opener;  // null, and no more: neither TLS nor HTTP
};
Guess transparent_opener(std::string_view received, std::uint16_t port);

}  // namespace locki::gate
