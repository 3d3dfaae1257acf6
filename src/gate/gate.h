// The egress gate: an HTTP/1.1 forward proxy that decides by name, resolves on the host, checks every address and
// connects to exactly what it checked. It serves listening sockets that were made elsewhere (in a namespace that has no
// other way out).
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
#include "gate/policy.h"
#include "gate/resolver.h"
#include "gate/upstream.h"
#include "sys/fd.h"

namespace locki::gate {

struct GateLimits {
  std::size_t connections_per_listener = 400;
  std::size_t head_bytes = 32 << 10;            // request line and headers
  std::chrono::milliseconds head_time{30'000};  // for a whole head; for the TLS hello as well
  std::chrono::milliseconds resolve_time{15'000};
  std::chrono::milliseconds connect_time{20'000};  // over all addresses of a name
  std::chrono::milliseconds idle_time{4 * 3600'000};
  std::chrono::milliseconds half_closed_idle_time{15 * 60'000};
};

struct GateConfig {
  Policy policy;
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

class Gate {
 public:
  // kPermission, kNoSpace…: the log cannot be opened.
  static Result<std::unique_ptr<Gate>> start(GateConfig config);
  ~Gate();  // closes every connection and listener
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  using ListenerId = std::uint64_t;
  // Takes a listening stream socket. `origin` names who is behind it in the log ("vm", a sandbox's name).
  ListenerId serve(sys::Fd listener, std::string origin);
  // Closes the listener and its connections.
  void stop_serving(ListenerId id);
  // From now on; connections that the new policy would refuse are closed.
  void update(Policy policy);
  GateStats stats() const;

 private:
  struct Impl;
  explicit Gate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::gate
