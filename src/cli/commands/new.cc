// locki new NAME [--from REF]
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"

namespace locki::cli {
namespace {

Result<int> run(Context& context, const Arguments& arguments) {
  const auto name = arguments.value("NAME");
  TRY(check_name(name));
  TRY_ASSIGN(const auto made, context.call("sandbox.new", {{"cwd", context.cwd}, {"name", name}, {"from", arguments.value("from")}}));
  if (context.globals.json) {
    context.out_json(made);
  } else {
    context.out(printable(json::string_or(made, "worktree"), 4096) + "\n");
  }
  return 0;
}

}  // namespace

Command new_command() {
  return {.name = "new",
          .group = "Sandboxes",
          .summary = "make a sandbox: a branch, a worktree and a container",
          .description = "Makes the branch NAME, its worktree on this machine and its container. Prints the worktree's path.",
          .positionals = {name_positional(true)},
          .options = {{"--from", "REF", "the branch or commit to start from (default: the current one)"}},
          .examples = {{"locki new my-feature", "from where you are"},
                       {"cd \"$(locki new fix-login --from main)\"", "from main, and go there"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
