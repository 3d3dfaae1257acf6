// Opening a sandbox: one call that brings everything up, and the strict reading of its answer.
#pragma once

#include <memory>
#include <string>

#include "cli/context.h"

namespace locki::cli {

struct OpenRequest {
  std::string name;   // "" is not sent to the daemon: which_sandbox() comes first
  std::string agent;  // "" for exec
  bool create = false;
  std::string from;   // the commit or branch a new one starts from; "" for the current one
  std::string program;  // of exec, by name only: for the audit log
};

// The connection on which a sandbox was opened. While it lives, the daemon counts a session and does not suspend the VM under it.
struct Opened {
  std::unique_ptr<Caller> daemon;
  OpenedSandbox sandbox;
};
Result<Opened> open_sandbox(Context& context, const OpenRequest& request);

Result<OpenedSandbox> read_opened(const json::object& reply);

}  // namespace locki::cli
