// From names to addresses, on the host. An interface, so that tests put in their own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gate/address.h"

namespace locki::gate {

class Resolver {
 public:
  using Done = std::function<void(Result<std::vector<Address>>)>;
  virtual ~Resolver() = default;
  // Calls `done` once, on any thread, maybe before it returns. Never blocks. The caller keeps the deadline.
  virtual void resolve(std::string name, Done done) = 0;
};

// getaddrinfo on a few threads with a bounded queue (kUnavailable when it is full). A thread that hangs in the C
// library when the resolver is destroyed is left behind and ends by itself.
std::shared_ptr<Resolver> make_system_resolver(std::size_t threads = 8, std::size_t max_queued = 512);

}  // namespace locki::gate
