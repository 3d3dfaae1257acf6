// locki attach [NAME] [--watch]
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"
#include "cli/session.h"

namespace locki::cli {
namespace {

constexpr int kNobodyThere = 3;  // of agent-session --attach

Result<int> run(Context& context, const Arguments& arguments) {
  if (const auto name = arguments.value("NAME"); !name.empty()) TRY(check_name(name));
  if (!wants_terminal(context)) return fail(ErrorKind::kUsage, "attach needs a terminal");
  TRY_ASSIGN(auto opened, open_sandbox(context, {.name = arguments.value("NAME"), .agent = "", .create = false, .from = ""}));
  if (opened.sandbox.agent_session.empty()) return fail(ErrorKind::kProtocol, "the daemon does not say how to attach");
  SessionRequest request{.argv = {opened.sandbox.agent_session, arguments.flag("watch") ? "--watch" : "--attach"}, .directory = ""};
  TRY_ASSIGN(const int status, run_session(context, opened.sandbox, request));
  if (status != kNobodyThere) return status;
  return fail(ErrorKind::kNotFound, "no agent runs in " + printable(opened.sandbox.name), "start one: locki claude " + printable(opened.sandbox.name));
}

}  // namespace

Command attach_command() {
  return {.name = "attach",
          .group = "Agents",
          .summary = "take up the agent that runs in a sandbox",
          .description = "Joins the screen of the agent that was started last in NAME, as `locki AGENT NAME` does as well. Ctrl-] leaves it, and so\n"
                         "does closing the terminal: the agent goes on. Of one that has ended by itself meanwhile, its last screen is shown once, and its\n"
                         "exit status is ours.",
          .positionals = {name_positional()},
          .options = {{"--watch", "", "look on; the keyboard does nothing but leave"}},
          .examples = {{"locki attach my-feature", ""}, {"locki attach --watch my-feature", "from a second terminal"}},
          .session = true,
          .inside = true,
          .run = run};
}

}  // namespace locki::cli
