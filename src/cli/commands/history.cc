// locki history [NAME], locki undo NAME ID
#include <ctime>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "term/table.h"

namespace locki::cli {
namespace {

std::string time_of(const json::object& version) {
  const auto* time = version.if_contains("time");
  if (time == nullptr) return "";
  if (time->is_string()) return std::string(time->get_string());
  if (!time->is_int64() && !time->is_uint64()) return "";
  const std::time_t seconds = json::int_or(version, "time");
  std::tm local{};
  char text[32] = "";
  if (::localtime_r(&seconds, &local) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

Result<int> history(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(const auto reply, context.call("sandbox.history", {{"cwd", context.cwd}, {"name", name}}));
  TRY_ASSIGN(const auto versions, json::get_array(reply, "versions"));
  if (context.globals.json) return context.out_json(versions), 0;
  if (versions.empty()) return context.note("Nothing has been recorded for " + printable(name) + " yet."), 0;
  term::Table table({{.title = "ID"}, {.title = "TIME"}, {.title = "WHAT", .shrinks = true}, {.title = "KEPT", .shrinks = true}});
  for (const auto& value : versions) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's history holds something else");
    const auto& version = value.get_object();
    const auto id = json::string_or(version, "id");
    table.add({{id.substr(0, 12), term::Tint::kYellow}, time_of(version), json::string_or(version, "summary"), json::string_or(version, "kept_path")});
  }
  context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  return 0;
}

Result<int> undo(Context& context, const Arguments& arguments) {
  const auto name = arguments.value("NAME"), id = arguments.value("ID");
  TRY(check_name(name));
  if (id.empty() || id.size() > 64 || id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return fail(ErrorKind::kUsage, "“" + printable(id, 80) + "” is no state's id", "locki history " + name);
  }
  TRY_ASSIGN(const auto reply, context.call("sandbox.undo", {{"cwd", context.cwd}, {"name", name}, {"id", id}}));
  (void)reply;
  context.note(name + " is back at " + id);
  return 0;
}

}  // namespace

Command history_command() {
  return {.name = "history",
          .group = "Work",
          .summary = "every state that came out of a sandbox",
          .description = "Lists every state of the files that the mirror accepted, the newest first, and what was kept of conflicts.",
          .positionals = {name_positional()},
          .examples = {{"locki history my-feature", ""}},
          .json = true,
          .run = history};
}

Command undo_command() {
  return {.name = "undo",
          .group = "Work",
          .summary = "go back to a state of the history",
          .positionals = {name_positional(true), {"ID", "from `locki history`", true}},
          .examples = {{"locki undo my-feature 3f2a9c01b7de", "the files as they were then, here and inside"}},
          .run = undo};
}

}  // namespace locki::cli
