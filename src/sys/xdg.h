// Where locki keeps things (XDG base directory specification). Computed once in main and passed on; nothing else reads these variables.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace locki::sys {

struct Paths {
  std::filesystem::path home;     // the user's home directory
  std::filesystem::path config;   // ~/.config/locki
  std::filesystem::path data;     // ~/.local/share/locki: worktrees/, home/
  std::filesystem::path state;    // ~/.local/state/locki: VM disks, records, history stores, keys, audit log
  std::filesystem::path cache;    // ~/.cache/locki: roots, packages
  std::filesystem::path runtime;  // $XDG_RUNTIME_DIR/locki, else STATE/run: sockets, 0700
  std::filesystem::path worktrees() const { return data / "worktrees"; }
  std::filesystem::path agent_home() const { return data / "home"; }
};

// From $HOME and the XDG_* variables. A relative value is ignored, as the specification says. kUsage when there is no home directory.
Result<Paths> paths_from_environment();
// Makes them: data and cache 0755 or as they are, state, runtime and the agent home 0700. Refuses a runtime or state directory that
// belongs to another user or that others can write.
Result<> make_paths(const Paths& paths);

// The installed parts, found relative to our own executable: PREFIX/libexec/locki, PREFIX/share/locki.
struct Installation {
  std::filesystem::path program;  // PREFIX/bin/locki, the command
  std::filesystem::path core;     // PREFIX/libexec/locki/locki: the daemon, and the commands that speak TLS themselves
  std::filesystem::path libexec;  // jail, mirror, endpoint
  std::filesystem::path share;    // recipes, agents
};
Result<Installation> find_installation();

}  // namespace locki::sys
