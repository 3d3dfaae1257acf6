// How every host git is started: absolute program, whole environment, nothing from the user's or a repository's
// configuration that could run another program. Argument vectors are pure functions and have tests; no thread rules.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/process.h"

namespace locki::git {

namespace fs = std::filesystem;

// A full object id, lower-case hex, 40 or 64 digits. "" stands for "none" where said.
using ObjectId = std::string;
bool is_object_id(std::string_view text);

// Where the git program and the person's home are. Made once.
struct Program {
  std::string git;   // absolute
  std::string home;  // for the user's own configuration (author, excludes); "" where only our own stores are touched
};
Result<Program> find_git(std::string home = "");

// How much of the configuration counts.
enum class Config {
  kOurs,  // a store of our own: no system, no user configuration at all
  kUser,  // the user's repository: their configuration is read (author, excludes, object format), what it could execute
          // is overridden
};

// `git -C directory <safe -c options> args…`. Never prompts, never pages, takes no optional locks, runs no hook, no
// filesystem monitor, no transport helper, no signing program, no external diff, no automatic maintenance. Replace
// refs, grafts and lazy fetching are off.
sys::ProcessSpec command(const Program& program, Config config, const fs::path& directory,
                         std::vector<std::string> args);

}  // namespace locki::git
