// locki doctor
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"

namespace locki::cli {
namespace {

Result<int> run(Context& context, const Arguments&) {
  TRY_ASSIGN(const auto reply, context.call("doctor", {}));
  TRY_ASSIGN(const auto checks, json::get_array(reply, "checks"));
  bool healthy = true;
  std::string out;
  const auto style = context.out_style();
  for (const auto& value : checks) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's checks hold something else");
    const auto& check = value.get_object();
    TRY_ASSIGN(const bool ok, json::get_bool(check, "ok"));
    healthy = healthy && ok;
    out += (ok ? style.green("✓") : style.red("✗")) + " " + printable(json::string_or(check, "name"));
    if (const auto detail = json::string_or(check, "detail"); !detail.empty()) out += style.dim("  " + printable(detail));
    out += "\n";
    if (const auto remedy = json::string_or(check, "remedy"); !ok && !remedy.empty()) out += "    try: " + printable(remedy) + "\n";
  }
  if (context.globals.json) {
    context.out_json(checks);
  } else {
    context.out(out);
  }
  return healthy ? 0 : 1;
}

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .group = "Machine",
          .summary = "check this machine and say what to do",
          .description = "Checks everything that locki needs and tells a remedy for what is missing. Exit status 1 when something is.",
          .examples = {{"locki doctor", ""}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
