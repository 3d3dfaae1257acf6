// locki agent list|update
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "term/table.h"

namespace locki::cli {
namespace {

Result<int> list(Context& context, const Arguments&) {
  TRY_ASSIGN(const auto reply, context.call("agent.list", {}));
  TRY_ASSIGN(const auto agents, json::get_array(reply, "agents"));
  if (context.globals.json) return context.out_json(agents), 0;
  term::Table table({{.title = "AGENT"}, {.title = "WHAT", .shrinks = true}, {.title = "INSTALLED"}, {.title = "PACKAGE", .shrinks = true}});
  for (const auto& value : agents) {
    if (!value.is_object()) continue;
    const auto& agent = value.get_object();
    table.add({{json::string_or(agent, "name"), term::Tint::kBold},
               json::string_or(agent, "title"),
               json::string_or(agent, "installed", "-"),
               {json::string_or(agent, "package"), term::Tint::kDim}});
  }
  context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  return 0;
}

Result<int> update(Context& context, const Arguments& arguments) {
  const auto agent = arguments.value("AGENT");
  TRY_ASSIGN(const auto reply, context.call("agent.update", {{"agent", agent}}));
  (void)reply;
  context.note(printable(agent) + " is up to date");
  return 0;
}

}  // namespace

Command agent_command() {
  return {.name = "agent",
          .group = "Machine",
          .summary = "the agents and their versions",
          .examples = {{"locki agent list", ""}, {"locki agent update claude", "the newest version, for all sandboxes"}},
          .children = {{.name = "list",
                        .aliases = {"ls"},
                        .summary = "the agents there are",
                        .examples = {{"locki agent list", ""}},
                        .json = true,
                        .run = list},
                       {.name = "update",
                        .summary = "install an agent's newest version",
                        .positionals = {{"AGENT", "one of `locki agent list`", true, Completes::kAgents}},
                        .examples = {{"locki agent update claude", ""}},
                        .run = update}}};
}

}  // namespace locki::cli
