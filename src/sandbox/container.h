// A sandbox's container: its definition (pure), making and starting it, and what is put into it before anything runs there.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/progress.h"
#include "git/repository.h"
#include "incus/client.h"
#include "sandbox/config.h"
#include "sandbox/histories.h"
#include "sandbox/record.h"

namespace locki::sandbox {

inline constexpr std::string_view kEndpoint = "/usr/local/lib/locki/endpoint";
inline constexpr std::string_view kHome = "/root";

// Incus' name for a sandbox's container, and what it calls itself.
std::string instance_name(const std::string& name, const std::string& id);

// The user inside is root of an unprivileged container: its own id range, nothing of the VM's.
incus::CreateInstance container_definition(const Record& record, const Limits& limits, const std::string& image_alias);

// Runs an agent on a screen that outlives whoever looks at it (share/session).
inline constexpr std::string_view kAgentSession = "/usr/local/lib/locki/agent-session";

struct ContainerSetup {
  Limits limits;
  std::string image_alias;
  std::function<std::string()> trust_archive;  // a tar for a container that starts, possibly empty; costs too much to make for others
  std::filesystem::path endpoint_program;  // on the host
  std::filesystem::path session_files;     // on the host: share/session
  std::string programs;                    // tells these from those of another build
};

// Made when absent, started and prepared when stopped, prepared anew when it runs with the programs of another build (Record::programs). Returns when
// commands can run in it; true when it was made: nothing is in it yet.
Result<bool> ensure_container(incus::Client& client, const Record& record, const ContainerSetup& setup, const ProgressSink& progress);
struct CloneSetup {
  std::size_t max_history = 0;          // commits; 0: all
  std::filesystem::path boundary_file;  // of the mirror's state (mirror/control.h): says where the history inside ends
  std::optional<StoredHistory> shared;  // its files are in the container (history_volume.h): only what the branch has beyond it is sent
};
// The repository inside: a clone of what the branch reaches, at the worktree's path, on the same branch; of a history that is longer than
// the limit its newest part, which is said once. Gives the commit; "" when an attempt that was cut short had made it.
Result<git::ObjectId> clone_inside(incus::Client& client, const Record& record, const git::Repository& repository, const CloneSetup& setup, const ProgressSink& progress);
// Stopped and deleted; absent is fine.
Result<> remove_container(incus::Client& client, const std::string& instance);

}  // namespace locki::sandbox
