#include "git/command.h"

#include <algorithm>

namespace locki::git {
namespace {

// What a configuration could make git execute, wait for or connect to; the command line wins over every file.
const char* const kOverrides[] = {
    "core.hooksPath=/dev/null",  // no hook has a path that exists
    "core.fsmonitor=false",      // may name a program
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=",
    "core.sshCommand=false",
    "core.alternateRefsCommand=",
    "credential.helper=",
    "diff.external=",
    "protocol.allow=never",  // no transport, no lazy fetching of a partial clone
    "commit.gpgSign=false",
    "log.showSignature=false",  // runs gpg
    "submodule.recurse=false",
    "gc.auto=0",  // runs git gc, detached
    "maintenance.auto=false",
    "uploadpack.packObjectsHook=",
    // What we make outlives the power: objects before the refs that name them. (git's own default leaves out loose
    // objects, refs and the index.) "batch" writes all loose objects of a command with one flush.
    "core.fsync=all",
    "core.fsyncMethod=batch",
};

}  // namespace

bool is_object_id(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Program> find_git(std::string home) {
  auto git = sys::find_program("git");
  if (!git) return fail(std::move(git).error().with_hint("install git (on Debian: apt install git)"));
  return Program{std::move(*git), std::move(home)};
}

sys::ProcessSpec command(const Program& program, Config config, const fs::path& directory,
                         std::vector<std::string> args) {
  sys::ProcessSpec spec{.program = program.git, .environment = sys::clean_environment()};
  spec.args = {"--no-pager", "--no-replace-objects", "-C", directory.string()};
  for (const char* override : kOverrides) {
    spec.args.emplace_back("-c");
    spec.args.emplace_back(override);
  }
  spec.args.insert(spec.args.end(), std::make_move_iterator(args.begin()), std::make_move_iterator(args.end()));

  auto& environment = spec.environment;
  environment["LC_ALL"] = "C.UTF-8";  // messages are shown, never parsed; but let them be the same everywhere
  environment["GIT_TERMINAL_PROMPT"] = "0";
  environment["GIT_OPTIONAL_LOCKS"] = "0";
  environment["GIT_NO_LAZY_FETCH"] = "1";
  environment["GIT_GRAFT_FILE"] = "/dev/null";
  environment["GIT_PAGER"] = "cat";
  if (config == Config::kOurs) {
    environment["GIT_CONFIG_NOSYSTEM"] = "1";
    environment["GIT_CONFIG_GLOBAL"] = "/dev/null";
    environment["GIT_ATTR_NOSYSTEM"] = "1";
    environment["HOME"] = "/nonexistent";
  } else if (!program.home.empty()) {
    environment["HOME"] = program.home;
  }
  return spec;
}

}  // namespace locki::git
