// locki remove NAME [--force] [--delete-branch] | --merged
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"

namespace locki::cli {
namespace {

Result<int> remove_merged(Context& context) {
  TRY_ASSIGN(const auto reply, context.call("sandbox.remove_merged", {{"cwd", context.cwd}}));
  std::vector<std::string> names;
  if (const auto* removed = json::array_or_null(reply, "removed")) {
    for (const auto& name : *removed) {
      if (name.is_string()) names.push_back(printable(std::string_view(name.get_string())));
    }
  }
  context.note(names.empty() ? "nothing to remove: no sandbox's branch is merged" : "removed " + join(names, ", "));
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto given = arguments.value("NAME");
  if (arguments.flag("merged")) {
    if (!given.empty()) return fail(ErrorKind::kUsage, "--merged chooses the sandboxes itself", "leave NAME out, or --merged");
    return remove_merged(context);
  }
  // Never guessed from where one stands: what goes is named, or chosen.
  if (given.empty() && !context.terminal.in_facts.terminal) return fail(ErrorKind::kUsage, "which sandbox to remove must be said", "locki remove NAME");
  TRY_ASSIGN(const auto name, which_sandbox(context, given));
  TRY_ASSIGN(const auto reply, context.call("sandbox.remove", {{"cwd", context.cwd},
                                                               {"name", name},
                                                               {"force", arguments.flag("force")},
                                                               {"delete_branch", arguments.flag("delete-branch")}}));
  (void)reply;
  context.note(arguments.flag("delete-branch") ? "removed " + name + " and its branch" : "removed " + name + "; its branch stays");
  return 0;
}

}  // namespace

Command remove_command() {
  return {.name = "remove",
          .aliases = {"rm"},
          .group = "Sandboxes",
          .summary = "remove a sandbox; refuses to lose work",
          .description = "Removes the container and the worktree. Refuses, and says why, while there is work that is not on the branch,\n"
                         "or an agent runs in it. The branch stays unless --delete-branch is given.",
          .positionals = {name_positional()},
          .options = {{"-f,--force", "", "even when work is lost, or it is in use"},
                      {"--delete-branch", "", "the git branch, too"},
                      {"--merged", "", "every sandbox whose branch is merged"}},
          .examples = {{"locki rm my-feature --delete-branch", "it is merged: all of it can go"}, {"locki rm --merged", "everything that is merged"}},
          .run = run};
}

}  // namespace locki::cli
