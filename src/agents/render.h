// From the table to what happens in a container: which programs install an agent, which files it finds, how it is started.
// Pure functions; the callers run and write.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agents/agent.h"
#include "base/result.h"

namespace locki::agents {

// Where the agent store is in builder containers (writable) and in sandboxes (read-only).
inline constexpr std::string_view kStore = "/opt/locki/agents";

struct SandboxContext {
  std::string sandbox;   // its name
  std::string branch;
  std::string worktree;  // absolute; the same path as on the host
  std::string home;      // of the user in the sandbox, absolute
  std::string user;      // in the sandbox
};

struct Command {
  std::vector<std::string> argv;  // argv[0] is an absolute path in the container
  std::map<std::string, std::string> environment;  // to add to the container's own (proxy, CA, PATH, HOME)
  std::string directory = "/";
  std::string input;  // for its standard input
};

// The agent's program, in the store.
std::string program_path(const Agent& agent);

// Commands for the builder container, to run one after the other; each must exit with 0; `version` prints it. `generation` names this installation: a short
// word of letters, digits and '-' that was not used before. The agent is installed into generations/NAME/GENERATION, asked for its
// version, and only then does the link NAME move (atomically) to it: an interrupted or failed update leaves the old one in use, and
// an agent that runs keeps its files. Generations unused for a week are removed. Registry, proxy and CA come from the container's
// environment and npm configuration. One updater at a time: the caller holds a lock.
struct InstallPlan {
  std::vector<Command> install;
  Command version;
  std::vector<Command> activate;
};
InstallPlan install_plan(const Agent& agent, const std::string& generation);
// Prints the version of what is installed; it cannot be executed (status 126 or 127) when nothing is.
Command version_command(const Agent& agent);

struct File {
  std::string path;  // absolute, in the container
  std::uint32_t mode = 0644;
  FilePolicy policy = FilePolicy::kReplace;
  std::string content;
  bool in_home = false;  // belongs to the sandbox's user (when that is not root)
};
// Everything to write before the agent's first start in a sandbox, the note included. `note` is AgentTable::note().
// kUsage when the context holds what cannot be a path or a name.
Result<std::vector<File>> files_for(const Agent& agent, const std::string& note, const SandboxContext& context);

// What a kMerge file becomes: `wanted` over `existing`, objects member by member. `existing` comes from the sandbox and is hostile: when it
// is no JSON object within the bounds, `wanted` alone.
std::string merged(const std::string& wanted, const std::string& existing);

// How the agent is started with every permission prompt off. `arguments` are the user's, passed on as they are.
Command command(const Agent& agent, const SandboxContext& context, const std::vector<std::string>& arguments);

}  // namespace locki::agents
