// locki list [--all]
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "term/table.h"

namespace locki::cli {
namespace {

using term::Cell;
using term::Tint;

Cell state_cell(const json::object& sandbox) {
  auto state = json::string_or(sandbox, "state", "unknown");
  const auto tint = state == "running" ? Tint::kGreen : state == "broken" ? Tint::kRed : Tint::kDim;
  const auto sessions = json::int_or(sandbox, "sessions");
  if (sessions > 0) state += " (" + std::to_string(sessions) + " open)";
  return {state, tint};
}

Cell work_cell(const json::object& sandbox) {
  std::vector<std::string> parts;
  if (const auto ahead = json::int_or(sandbox, "ahead"); ahead > 0) parts.push_back("+" + std::to_string(ahead));
  if (json::bool_or(sandbox, "dirty")) parts.emplace_back("changed");
  return join(parts, " ");
}

Cell mirror_cell(const json::object& sandbox) {
  const auto* mirror = json::object_or_null(sandbox, "mirror");
  if (mirror == nullptr) return {json::string_or(sandbox, "problem"), Tint::kRed};
  // The long text is in doctor.
  if (!json::string_or(*mirror, "branch_stuck").empty()) return {"branch stuck", Tint::kRed};
  if (const auto problem = json::string_or(*mirror, "problem"); !problem.empty()) return {problem, Tint::kRed};
  if (!json::string_or(*mirror, "refused").empty()) return {"commits refused: " + json::string_or(*mirror, "refused"), Tint::kRed};
  std::vector<std::string> parts;
  if (const auto stuck = json::int_or(*mirror, "stuck"); stuck > 0) parts.push_back(std::to_string(stuck) + " stuck");
  if (const auto held = json::int_or(*mirror, "held"); held > 0) parts.push_back(std::to_string(held) + " held");
  if (const auto conflicts = json::int_or(*mirror, "conflicts"); conflicts > 0) parts.push_back(std::to_string(conflicts) + " in conflict");
  if (!json::string_or(*mirror, "recovered").empty()) parts.emplace_back("recovered");
  if (!parts.empty()) return {join(parts, ", "), Tint::kYellow};
  return {json::string_or(*mirror, "state"), Tint::kDim};
}

std::string agents_of(const json::object& sandbox) {
  std::vector<std::string> names;
  if (const auto* agents = json::array_or_null(sandbox, "agents")) {
    for (const auto& agent : *agents) {
      if (!agent.is_string()) continue;
      std::string name(agent.get_string());
      // On a screen of its own: it goes on without anybody looking.
      if (const auto* screens = json::object_or_null(sandbox, "screens")) {
        const auto state = json::string_or(*screens, name);
        const auto* ended = json::object_or_null(sandbox, "ended");
        const auto status = ended != nullptr ? json::int_or(*ended, name) : 0;
        if (state == "finished") name += status == 0 ? " (finished)" : " (finished, status " + std::to_string(status) + ")";
        else if (!state.empty()) name += state == "waiting" ? " (waiting for you)" : " (running)";
      }
      names.push_back(std::move(name));
    }
  }
  return join(names, " ");
}

std::string shortened(const Context& context, const std::string& path) {
  const auto home = context.paths.home.string();
  return !home.empty() && path.starts_with(home + "/") ? "~" + path.substr(home.size()) : path;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const bool all = arguments.flag("all");
  TRY_ASSIGN(const auto reply, context.call("sandbox.list", {{"cwd", context.cwd}, {"all", all}}));
  TRY_ASSIGN(const auto sandboxes, json::get_array(reply, "sandboxes"));
  if (context.globals.json) return context.out_json(sandboxes), 0;
  if (sandboxes.empty()) {
    context.note(all ? "No sandboxes yet. Make one: locki claude my-feature" : "No sandboxes in this repository yet. Make one: locki claude my-feature");
    return 0;
  }
  std::vector<term::Column> columns{{.title = "NAME", .shrinks = true}, {.title = "STATE"}, {.title = "AGENTS"}, {.title = "WORK"}, {.title = "MIRROR", .shrinks = true}};
  if (all) columns.push_back({.title = "REPOSITORY", .shrinks = true});
  columns.push_back({.title = "WORKTREE", .shrinks = true, .least = 12});
  term::Table table(columns);
  for (const auto& value : sandboxes) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's list of sandboxes holds something else");
    const auto& sandbox = value.get_object();
    std::vector<Cell> row{{json::string_or(sandbox, "name"), Tint::kBold}, state_cell(sandbox), agents_of(sandbox), work_cell(sandbox), mirror_cell(sandbox)};
    if (all) row.emplace_back(shortened(context, json::string_or(sandbox, "repo")));
    row.emplace_back(shortened(context, json::string_or(sandbox, "worktree")));
    table.add(std::move(row));
  }
  context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  return 0;
}

}  // namespace

Command list_command() {
  return {.name = "list",
          .aliases = {"ls"},
          .group = "Sandboxes",
          .summary = "what there is",
          .description = "Lists the sandboxes of this repository: state, agents set up, work (commits ahead, uncommitted changes), what the mirror says.",
          .options = {{"-a,--all", "", "of all repositories"}},
          .examples = {{"locki list", "in this repository"}, {"locki list --all --json", "everything, for a script"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
