// The egress gate: learns the host that a client wants (from its TLS hello, its HTTP request, or a request to a proxy), decides by
// name, resolves on the host, checks every address and connects to exactly what it checked. It serves listening sockets that were made
// elsewhere (in a namespace that has no other way out). Which client a connection belongs to is known by the address that it called:
// each client has HostTable::kSize of its own in a row, for itself and for the hosts that it may mean (host_table.h), and what is called on no
// client's address is refused.
//
// Runs on one thread of its own; every public function may be called from any thread and returns at once. Nothing
// throws. SIGPIPE must be ignored by the process. Each connection takes two descriptors: raise RLIMIT_NOFILE before
// start() if many are expected.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "gate/audit.h"
#include "gate/host_table.h"
#include "gate/policy.h"
#include "gate/resolver.h"
#include "gate/upstream.h"
#include "sys/fd.h"

namespace locki::gate {

struct GateLimits {
  std::size_t connections_per_client = 400;
  std::size_t connections = 4000;               // of all clients; two descriptors each, and 128 for the pipes of all
  std::size_t head_bytes = 32 << 10;            // request line and headers
  std::chrono::milliseconds head_time{30'000};  // for a whole head; for the TLS hello as well
  std::chrono::milliseconds resolve_time{15'000};
  std::chrono::milliseconds connect_time{20'000};  // over all addresses of a name
  std::chrono::milliseconds idle_time{4 * 3600'000};
  std::chrono::milliseconds half_closed_idle_time{15 * 60'000};
};

struct GateConfig {
  Upstream upstream;
  std::filesystem::path log_path;  // empty: no audit log
  GateLimits limits;
  std::shared_ptr<Resolver> resolver;  // null: the system's
  // Called on the gate's thread for every record, the last ones from within ~Gate; must not block.
  std::function<void(const AuditRecord&)> on_record;
};

struct GateStats {
  std::uint64_t open = 0, accepted = 0, allowed = 0, refused = 0, failed = 0, bytes_out = 0, bytes_in = 0;
};

// One sandbox, as the gate knows it.
struct Client {
  std::string id;    // for ever
  std::string name;  // for people, and for the log
  Policy policy;
};

enum class Entrance {
  kExplicit,    // a proxy: HTTP or SOCKS 5
  kTransparent  // the client believes it talks to the server
};

// A connection that is held until the user has decided.
struct Question {
  std::string client_id, client_name;
  Endpoint target;
  bool operator==(const Question&) const = default;
};

class Gate {
 public:
  // kPermission, kNoSpace…: the log cannot be opened.
  static Result<std::unique_ptr<Gate>> start(GateConfig config);
  ~Gate();  // closes every connection and listener
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  using ListenerId = std::uint64_t;
  // Takes a listening stream socket; `port` is the one that clients believe they call.
  ListenerId serve(sys::Fd listener, Entrance entrance, std::uint16_t port);
  // Closes the listener and its connections.
  void stop_serving(ListenerId id);
  // Who calls that address, a multiple of HostTable::kSize, or one of those behind it is this client from now on. Connections of its that the policy would refuse are closed, and those that it
  // would allow and that were held go on.
  void admit(const Address& at, Client client);
  // Nobody's address any more; its connections are closed.
  void dismiss(const Address& at);
  // What every client's addresses stand for from now on. Connections that stand keep their host.
  void name_hosts(HostTable hosts);
  std::vector<Question> questions() const;  // each once
  GateStats stats() const;

 private:
  struct Impl;
  explicit Gate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::gate
