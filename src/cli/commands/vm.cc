// locki vm status|build|start|stop|suspend|delete|prune
#include <fmt/core.h>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"

namespace locki::cli {
namespace {

std::string uptime(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} days", seconds / 86'400);
}

std::string bytes_of(const json::object& status, const char* key) {
  const auto n = json::int_or(status, key);
  return human_bytes(n > 0 ? static_cast<std::uint64_t>(n) : 0);
}

Result<int> status(Context& context, const Arguments&) {
  TRY_ASSIGN(const auto reply, context.call("vm.status", {}));
  if (context.globals.json) return context.out_json(reply), 0;
  TRY_ASSIGN(const auto state, json::get_string(reply, "state"));
  const auto style = context.out_style();
  std::string out;
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{}{}\n", style.dim(fmt::format("{:<14}", name)), value);
  };
  const bool runs = state == "running";
  row("state", runs ? style.green(state) : printable(state));
  if (runs) row("accelerator", printable(json::string_or(reply, "accelerator")));
  row("", printable(json::string_or(reply, "accelerator_note")));
  if (runs) row("running for", uptime(json::int_or(reply, "uptime_s")));
  row("processors", std::to_string(json::int_or(reply, "cpus")));
  const auto memory = json::int_or(reply, "memory_mib");
  const auto total = human_bytes(memory > 0 ? static_cast<std::uint64_t>(memory) << 20 : 0);
  row("memory", runs ? bytes_of(reply, "memory_used_bytes") + " of " + total : total);
  row("disk", bytes_of(reply, "disk_used_bytes") + " of " + bytes_of(reply, "disk_bytes"));
  if (json::int_or(reply, "histories_bytes") > 0) row("histories", bytes_of(reply, "histories_bytes") + " of the disk, shared by sandboxes");
  if (const auto* roots = json::object_or_null(reply, "roots")) {
    for (const auto& root : *roots) {
      if (!root.value().is_object()) continue;
      const auto& one = root.value().get_object();
      row(("root " + printable(root.key(), 20)).c_str(), json::bool_or(one, "built") ? "built  " + style.dim(printable(json::string_or(one, "key")).substr(0, 12)) : "not built yet");
    }
  }
  if (const auto problem = json::string_or(reply, "problem"); !problem.empty()) row("problem", style.red(printable(problem)));
  if (const auto exit = json::string_or(reply, "last_exit"); !exit.empty()) row("last exit", printable(exit));
  context.out(out);
  return 0;
}

Result<int> act(Context& context, const Arguments& arguments, const char* method, const char* done) {
  TRY_ASSIGN(const auto reply, context.call(method, {{"force", arguments.flag("force")}, {"golden", arguments.flag("golden")}}));
  (void)reply;
  context.note(done);
  return 0;
}

Command action(std::string name, std::string summary, const char* method, const char* done, std::vector<Option> options = {}) {
  return {.name = name,
          .summary = std::move(summary),
          .options = std::move(options),
          .examples = {{"locki vm " + name, ""}},
          .run = [method, done](Context& context, const Arguments& arguments) { return act(context, arguments, method, done); }};
}

}  // namespace

Command vm_command() {
  const Option force{"-f,--force", "", "also while sandboxes are in use or agents run"};
  return {.name = "vm",
          .group = "Machine",
          .summary = "the virtual machine that all sandboxes share",
          .description = "The virtual machine is made and started when it is needed; these commands are for looking and for tidying up.",
          .examples = {{"locki vm status", ""}, {"locki vm stop", "give its memory back"}},
          .children = {{.name = "status",
                        .summary = "state, resources and what it was built from",
                        .examples = {{"locki vm status --json", ""}},
                        .json = true,
                        .run = status},
                       action("build", "build it, with the agents of the config's [vm] agents, ready to begin in seconds", "vm.build", "the virtual machine is built"),
                       action("start", "start it", "vm.start", "the virtual machine is running"),
                       action("stop", "bring all work home and shut it down", "vm.stop", "the virtual machine is stopped", {force}),
                       action("suspend", "put it to sleep with everything in it", "vm.suspend", "the virtual machine is suspended", {force}),
                       action("delete", "delete it with all sandboxes' disks; branches and worktrees stay", "vm.delete", "the virtual machine is deleted",
                              {{"-f,--force", "", "even when work inside is lost"}, {"--golden", "", "also the state that a new one begins with: it is built anew then"}}),
                       action("prune", "delete what is no longer needed from its disk and the cache", "vm.prune", "pruned")}};
}

}  // namespace locki::cli
