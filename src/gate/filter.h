// What looks at the bytes a client sends before they reach a server: nothing passes that a filter has not approved.
// Pure state machines.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gate/http_head.h"

namespace locki::gate {

struct Verdict {
  std::size_t pass = 0;      // so many bytes from the beginning may go on; the rest is shown again with what follows
  std::uint64_t unseen = 0;  // so many bytes behind `pass` may go on without being shown: tell skipped() how many did
  bool transparent = false;  // everything from here on may pass unseen
  bool end = false;          // nothing after `pass` belongs to this connection: it is thrown away
  std::string refuse;        // not empty: close, for this reason
  std::string farewell;      // with `refuse`: what the client is sent first
};

class ClientFilter {
 public:
  virtual ~ClientFilter() = default;
  // `held`: all bytes not passed yet. Holding (pass 0) is bounded: see kMaxHeld.
  virtual Verdict look(std::string_view held) = 0;
  virtual void skipped(std::uint64_t) {}
  // May the client end its side now? (Nothing is held back and nothing is missing.)
  virtual bool complete() const = 0;
  // Must something come soon? (A handshake has a time limit; a protocol in which the server speaks first has not.)
  virtual bool impatient() const { return false; }
};

inline constexpr std::size_t kMaxHeld = 18 << 10;

// A tunnel to `host`: a TLS ClientHello must name it. On other ports than 443 something that is not TLS passes.
std::unique_ptr<ClientFilter> make_tls_filter(Host host, bool tls_required);
// One request's body, and nothing behind it.
std::unique_ptr<ClientFilter> make_body_filter(const RequestHead& head);

}  // namespace locki::gate
