// locki exec [NAME] [-- CMD…]
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"
#include "cli/session.h"

namespace locki::cli {
namespace {

// The same path is the same place inside: who stands in a folder of the worktree stands there inside as well.
std::string directory_inside(const Context& context, const OpenedSandbox& sandbox) {
  const bool within = context.cwd.starts_with(sandbox.worktree + "/");
  return within ? context.cwd : sandbox.worktree;
}

Result<int> run(Context& context, const Arguments& arguments) {
  if (const auto name = arguments.value("NAME"); !name.empty()) TRY(check_name(name));
  const std::string program = arguments.rest.empty() ? "bash" : arguments.rest.front();
  TRY_ASSIGN(auto opened, open_sandbox(context, {.name = arguments.value("NAME"), .agent = "", .create = arguments.flag("create"), .from = "",
                                                 .program = program.substr(program.rfind('/') + 1)}));
  SessionRequest request{.argv = arguments.rest, .directory = directory_inside(context, opened.sandbox)};
  if (request.argv.empty()) request.argv = {"/bin/bash", "-l"};
  return run_session(context, opened.sandbox, request);
}

}  // namespace

Command exec_command() {
  return {.name = "exec",
          .aliases = {"x"},
          .group = "Agents",
          .summary = "run a command in a sandbox (default: a shell)",
          .description = "Runs CMD in the sandbox, or a shell. On a terminal it gets one; otherwise stdin, stdout and stderr stay apart and\n"
                         "byte-exact. Signals and the exit status pass through; 125 means that locki itself failed.",
          .positionals = {name_positional()},
          .options = {{"--create", "", "make the sandbox when there is none of that name"}},
          .examples = {{"locki x my-feature", "a shell inside"},
                       {"locki x my-feature -- make -j4 test", "one command"},
                       {"tar c . | locki x my-feature -- tar x -C /tmp", "streams pass through"}},
          .passes_rest = true,
          .rest_name = "CMD",
          .session = true,
          .inside = true,
          .run = run};
}

}  // namespace locki::cli
