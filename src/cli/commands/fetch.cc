// locki fetch NAME [BRANCH…] [--list]: branches that the agent made besides the sandbox's own.
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/text.h"
#include "git/fetched_refs.h"
#include "term/table.h"

namespace locki::cli {
namespace {

using term::Cell;
using term::Tint;

constexpr std::size_t kShownId = 12;

Cell state_cell(const std::string& state) { return {state, state == "same" ? Tint::kDim : state == "new" ? Tint::kGreen : Tint::kYellow}; }

Result<> show(Context& context, const std::string& name, const json::array& branches) {
  term::Table table({{.title = "BRANCH", .shrinks = true}, {.title = "STATE"}, {.title = "TIP"}, {.title = "HERE AS", .shrinks = true}});
  for (const auto& value : branches) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's list of branches holds something else");
    const auto& branch = value.get_object();
    const std::string called = json::string_or(branch, "name");
    table.add({{printable(called), Tint::kBold}, state_cell(json::string_or(branch, "state")), json::string_or(branch, "oid").substr(0, kShownId),
               printable(git::fetched_short_name(name, called))});
  }
  context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  return {};
}

Result<int> run(Context& context, const Arguments& arguments) {
  const bool list = arguments.flag("list"), prune = arguments.flag("prune");
  if (prune && !arguments.values("BRANCH").empty()) return fail(ErrorKind::kUsage, "--prune is about all branches: name none");
  json::array wanted;
  for (const auto& branch : arguments.values("BRANCH")) wanted.emplace_back(branch);
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(const auto reply, context.call("sandbox.fetch", {{"cwd", context.cwd}, {"name", name}, {"list", list}, {"prune", prune}, {"branches", std::move(wanted)}}));
  if (context.globals.json) return context.out_json(reply), 0;
  TRY_ASSIGN(const auto branches, json::get_array(reply, "branches"));
  TRY_ASSIGN(const auto left_out, json::get_array(reply, "left_out"));
  TRY_ASSIGN(const auto gone, json::get_array(reply, "gone"));
  if (!branches.empty()) TRY(show(context, name, branches));
  for (const auto& value : left_out) {
    if (value.is_object()) context.note("stays inside: " + printable(json::string_or(value.get_object(), "name")) + ", it " + printable(json::string_or(value.get_object(), "why")));
  }
  bool stale = false;
  for (const auto& value : gone) {
    if (!value.is_object()) continue;
    const auto& branch = value.get_object();
    const bool deleted = json::bool_or(branch, "deleted");
    const std::string here = printable(git::fetched_short_name(name, json::string_or(branch, "name"))), was = printable(json::string_or(branch, "was"));
    context.note(deleted ? "deleted here: " + here + " (it was " + was + ")" : "no longer inside: " + here);
    stale = stale || !deleted;
  }
  if (stale) context.note("Delete what is no longer inside: locki fetch --prune " + printable(name));
  if (const auto more = json::int_or(reply, "more"); more > 0) context.note(counted(more, "branch", "branches") + " more cannot be listed");
  const std::string shown = printable(name);
  if (branches.empty() && left_out.empty() && gone.empty()) return context.note("There is no branch in " + shown + " but its own."), 0;
  if (branches.empty()) return 0;
  if (list) context.note("Bring them here: locki fetch " + shown + " BRANCH…");
  else context.note("Nothing was checked out. `locki review " + shown + "` looks at the sandbox's own branch; at one of these: locki review " + shown + " --branch BRANCH");
  return 0;
}

}  // namespace

Command fetch_command() {
  return {.name = "fetch",
          .group = "Work",
          .summary = "bring other branches that the agent made",
          .description = "Brings branches that were made inside, besides the sandbox's own, into your repository: as locki/NAME/BRANCH, which git shows like\n"
                         "the branches of a remote. They pass the checks that every commit from inside passes. Nothing is checked out, and no\n"
                         "branch of yours moves. STATE: new, moved (also when rewritten), or the same as before. `locki remove` takes them away again,\n"
                         "and --prune those that were deleted inside: the commits can still be found by the ids it says, until git clears them away.",
          .positionals = {name_positional(), {.name = "BRANCH", .help = "only these; default: all of them", .repeats = true}},
          .options = {{"-l,--list", "", "only list what there is"}, {"-p,--prune", "", "also delete here what is no longer inside"}},
          .examples = {{"locki fetch my-feature --list", "what there is"},
                       {"locki fetch my-feature experiment", "bring one"},
                       {"git log my-feature..locki/my-feature/experiment", "look at it"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
