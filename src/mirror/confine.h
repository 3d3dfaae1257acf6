// What a mirror's worker may touch once it begins to read what the sandbox sends: the worktree, what git has to write of the repository (objects,
// refs, logs, this worktree's index; not its configuration or hooks), its state directory; for reading what git needs to run. No network. Everything
// that it starts (git) is confined the same way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "mirror/control.h"
#include "sys/landlock.h"

namespace locki::mirror {

// Asks git where things are; so it runs before anything of the sandbox was read. Makes the state directory and the repository's logs directory.
Result<sys::FileAccess> access_for(const StartSettings& settings);

// Files of the user's configuration that git reads. One that is replaced can no longer be read by a confined process, which then has to be started anew.
class ConfigFiles {
 public:
  explicit ConfigFiles(std::vector<std::filesystem::path> paths);
  // One of them is another file than when this was made.
  bool replaced() const;

 private:
  std::vector<std::pair<std::filesystem::path, std::string>> files_;
};

struct Confinement {
  bool files = false;  // Landlock; without it only the system call filter holds
  ConfigFiles config;
};
// For good. An error means that the process must not go on.
Result<Confinement> confine(const StartSettings& settings);

}  // namespace locki::mirror
