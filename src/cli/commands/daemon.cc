// locki daemon (hidden): what a command starts when no daemon answers.
#include "cli/commands.h"
#include "cli/context.h"

namespace locki::cli {

Command daemon_command() {
  return {.name = "daemon",
          .summary = "run the daemon in the foreground",
          .description = "Runs the daemon. Commands start it themselves when it is needed.",
          .inside = true,
          .run = [](Context& context, const Arguments&) { return context.services.run_daemon(); }};
}

}  // namespace locki::cli
