// The daemon's methods: JSON in, use case, JSON out. One table, so that what the socket offers is seen at a glance.
#pragma once

#include <set>
#include <string>

#include "daemon/client.h"
#include "sandbox/manager.h"

namespace locki::daemon {

// One connection. The sandboxes it opened count as sessions until it closes.
struct Connection {
  std::multiset<std::string> sessions;
  bool leave = false;  // the daemon was asked to end
};

Result<Reply> call_method(sandbox::Manager& manager, Connection& connection, const std::string& method, const json::object& params, const ProgressSink& progress);

}  // namespace locki::daemon
