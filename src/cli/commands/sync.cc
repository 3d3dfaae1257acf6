// locki sync [NAME]
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/text.h"

namespace locki::cli {
namespace {

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(const auto reply, context.call("sandbox.sync", {{"cwd", context.cwd}, {"name", name}, {"durable", arguments.flag("durable")}}));
  if (context.globals.json) return context.out_json(reply), 0;
  if (const auto* stuck = json::array_or_null(reply, "stuck"); stuck != nullptr && !stuck->empty()) {
    std::string message = "not everything could be carried:";
    for (const auto& item : *stuck) {
      if (item.is_object()) message += "\n  " + printable(json::string_or(item.get_object(), "path"), 1000) + ": " + printable(json::string_or(item.get_object(), "text"));
    }
    return fail(ErrorKind::kFailed, message, "locki list");
  }
  if (const auto branch = json::string_or(reply, "branch"); !branch.empty()) {
    return fail(ErrorKind::kFailed, "the files agree, but the branch of " + printable(name) + " cannot travel: " + printable(branch, 2000), "locki doctor");
  }
  if (const auto refused = json::string_or(reply, "refused"); !refused.empty()) {
    return fail(ErrorKind::kFailed, "the commits of " + printable(name) + " were refused: " + printable(refused), "locki doctor");
  }
  const auto held = json::int_or(reply, "held"), conflicts = json::int_or(reply, "conflicts");
  std::string line = printable(name) + ": both sides agree" + std::string(arguments.flag("durable") ? ", and have it on disk" : "");
  if (held > 0) line += ", " + counted(held, "file") + " held at the door (locki review " + printable(name) + ")";
  if (conflicts > 0) line += ", " + counted(conflicts, "conflict") + " (your version stands)";
  context.note(line);
  if (const auto problem = json::string_or(reply, "problem"); !problem.empty()) {
    return fail(ErrorKind::kFailed, "the mirror of " + printable(name) + " has a problem: " + printable(problem), "locki list");
  }
  return 0;
}

}  // namespace

Command sync_command() {
  return {.name = "sync",
          .group = "Work",
          .summary = "wait until the worktree and the sandbox agree",
          .positionals = {name_positional()},
          .options = {{"--durable", "", "and until both have it on disk"}},
          .examples = {{"locki sync my-feature && make test", "test here what was written there"},
                       {"locki sync --durable my-feature", "before the power goes"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
