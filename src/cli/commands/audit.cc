// locki audit [NAME]
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/log_view.h"

namespace locki::cli {
namespace {

std::string line_of(const json::object& entry, const term::Style& style) {
  std::string line = style.dim(printable(json::string_or(entry, "time"))) + "  ";
  auto event = printable(json::string_or(entry, "event"), 20);
  event.resize(std::max<std::size_t>(event.size(), 8), ' ');
  line += event + "  " + printable(json::string_or(entry, "sandbox", "(all sandboxes)"), 100);
  for (const auto& [key, value] : entry) {
    if (key == "time" || key == "event" || key == "sandbox" || key == "sandbox_id" || key == "repo") continue;
    const std::string text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
    if (!text.empty()) line += style.dim("  " + printable(std::string_view(key), 40) + "=") + printable(text, 200);
  }
  return line + "\n";
}

Result<int> run(Context& context, const Arguments& arguments) {
  return show_log(context, arguments, "audit", {{"cwd", context.cwd}, {"name", arguments.value("NAME")}}, line_of);
}

}  // namespace

Command audit_command() {
  return {.name = "audit",
          .group = "Machine",
          .summary = "everything that happened to the sandboxes",
          .description = "Lists what was made, run, taken in, refused, allowed and removed, the newest last; of one sandbox with NAME, also of one that\n"
                         "is gone. Programs are named without their arguments. Connections are in: locki net log.",
          .positionals = {{"NAME", "only this sandbox", false, Completes::kSandboxes}},
          .options = log_options(),
          .examples = {{"locki audit my-feature", "its whole life"}, {"locki audit -f --json", "a line of JSON for each event, as they come"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
