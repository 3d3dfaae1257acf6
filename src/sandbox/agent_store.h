// The agent store: one custom volume on the data disk that holds every installed agent. Only a throw-away builder container ever
// mounts it writable; sandboxes mount it read-only, so no sandbox can poison another.
#pragma once

#include "agents/render.h"
#include "base/progress.h"
#include "incus/client.h"

namespace locki::sandbox {

inline constexpr std::string_view kAgentVolume = "agents";

// The device that a sandbox (or the builder) gets.
incus::Config agent_store_device(bool writable);

// Makes the volume if there is none.
Result<> ensure_agent_store(incus::Client& client);

struct BuilderSetup {
  std::string image_alias;
  std::string archive;  // a tar to unpack in / first (certificates)
  std::map<std::string, std::string> environment;
};

// Unless the agent answers its version command already and `renew` is not set, installs it.
Result<> ensure_agent_installed(incus::Client& client, const agents::Agent& agent, const BuilderSetup& setup, bool renew, const ProgressSink& progress);
// The volume's record of what is installed: agent name -> version, in the volume's own description keys. Cheap.
Result<std::map<std::string, std::string>> installed_agents(incus::Client& client);

}  // namespace locki::sandbox
