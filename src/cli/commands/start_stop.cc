// locki start [NAME], locki stop [NAME]
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"

namespace locki::cli {
namespace {

Result<int> call_named(Context& context, const Arguments& arguments, const char* method, const std::string& done) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  json::object params{{"cwd", context.cwd}, {"name", name}};
  if (arguments.flag("force")) params["force"] = true;
  TRY_ASSIGN(const auto reply, context.call(method, std::move(params)));
  (void)reply;
  context.note(printable(name) + " " + done);
  return 0;
}

}  // namespace

Command start_command() {
  return {.name = "start",
          .group = "Sandboxes",
          .summary = "start a sandbox without running anything in it",
          .positionals = {name_positional()},
          .examples = {{"locki start my-feature", "so that its mirror carries changes both ways"}},
          .run = [](Context& context, const Arguments& arguments) { return call_named(context, arguments, "sandbox.start", "is running"); }};
}

Command stop_command() {
  return {.name = "stop",
          .group = "Sandboxes",
          .summary = "stop a sandbox; nothing is lost",
          .description = "Brings home what was changed inside, then stops the container. Its disk stays. Refuses while a session is open or an agent\n"
                         "runs on its own screen.",
          .positionals = {name_positional()},
          .options = {{"-f,--force", "", "also while it is in use: what runs in it is ended"}},
          .examples = {{"locki stop my-feature", ""}},
          .run = [](Context& context, const Arguments& arguments) { return call_named(context, arguments, "sandbox.stop", "is stopped"); }};
}

}  // namespace locki::cli
