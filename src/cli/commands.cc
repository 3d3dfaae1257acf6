#include "cli/commands.h"

#include <iterator>

namespace locki::cli {

std::vector<Command> all_commands(const std::vector<std::string>& agents) {
  std::vector<Command> own;
  for (auto* make : {exec_command, attach_command, diff_command, review_command, merge_command, fetch_command, cp_command, history_command, undo_command, sync_command, new_command, list_command, start_command,
                     stop_command, remove_command, net_command, audit_command, agent_command, vm_command, doctor_command, bench_command, completion_command, complete_command,
                     daemon_command}) {
    own.push_back(make());
  }
  std::vector<Command> all;
  for (const auto& agent : agents) {
    // An agent cannot take the place of a command of ours.
    if (find_command(own, agent) == nullptr) all.push_back(agent_run_command(agent));
  }
  std::move(own.begin(), own.end(), std::back_inserter(all));
  return all;
}

}  // namespace locki::cli
