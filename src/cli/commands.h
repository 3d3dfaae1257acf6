// The table of all commands. Each lives in a file of its own in commands/.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace locki::cli {

// `agents`: their names become commands.
std::vector<Command> all_commands(const std::vector<std::string>& agents);

Command agent_run_command(const std::string& agent);
Command exec_command();
Command attach_command();
Command new_command();
Command list_command();
Command start_command();
Command stop_command();
Command remove_command();
Command sync_command();
Command cp_command();
Command diff_command();
Command review_command();
Command merge_command();
Command fetch_command();
Command history_command();
Command undo_command();
Command net_command();
Command audit_command();
Command agent_command();
Command vm_command();
Command doctor_command();
Command bench_command();
Command completion_command();
Command complete_command();  // hidden: what completion scripts call
Command daemon_command();    // hidden

inline Positional name_positional(bool required = false) {
  return {"NAME", "the sandbox; default: the one you are in, else a choice", required, Completes::kSandboxes};
}

}  // namespace locki::cli
