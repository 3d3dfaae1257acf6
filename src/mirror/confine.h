// What a mirror's worker may touch once it begins to read what the sandbox sends: the worktree and where its unfinished files lie, what git has to write
// of the repository (objects, refs, logs, this worktree's index; not its configuration or hooks), its state directory; for reading what git needs to run.
// No network. Everything that it starts (git) is confined the same way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "git/repository.h"
#include "mirror/control.h"
#include "sys/landlock.h"

namespace locki::mirror {

// Where the worker's tree may put what is half done (staging.h), the best first: in the state directory, in the worktree's own git directory (which is
// often in the worktree's file system when the state is not), beside the worktree.
std::vector<std::filesystem::path> staging_for(const StartSettings& settings, const git::Repository& repository);

// Asks git where things are; so it runs before anything of the sandbox was read. Makes the state directory, the repository's logs directory and the
// directory for what is half done.
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
