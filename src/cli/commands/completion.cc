// locki completion SHELL, and the hidden `locki __complete` that its scripts call.
#include "cli/completion.h"

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/names.h"

namespace locki::cli {
namespace {

Result<int> script(Context& context, const Arguments& arguments) {
  const auto text = completion_script(arguments.value("SHELL"));
  if (text.empty()) return fail(ErrorKind::kUsage, "there is no completion for “" + printable(arguments.value("SHELL"), 40) + "”", "one of: bash, zsh, fish");
  context.out(text);
  return 0;
}

// Only from a daemon that runs already: a key press must not start one. Names that a shell could misread are not offered.
std::vector<std::string> sandbox_names(Context& context) {
  std::vector<std::string> names;
  const auto caller = context.services.connect_existing();
  if (!caller) return names;
  const auto reply = (*caller)->call("sandbox.list", {{"cwd", context.cwd}, {"all", false}}, {});
  const auto* sandboxes = reply ? json::array_or_null(reply->result, "sandboxes") : nullptr;
  if (sandboxes == nullptr) return names;
  for (const auto& sandbox : *sandboxes) {
    auto name = sandbox.is_object() ? json::string_or(sandbox.get_object(), "name") : "";
    if (check_name(name)) names.push_back(std::move(name));
  }
  return names;
}

Result<int> answer(Context& context, const Arguments& arguments) {
  const auto found = complete(all_commands(context.agents), arguments.rest, [&](Completes what) -> std::vector<std::string> {
    if (what == Completes::kSandboxes) return sandbox_names(context);
    if (what == Completes::kAgents) return context.agents;
    if (what == Completes::kShells) return {"bash", "zsh", "fish"};
    return {};
  });
  std::string out;
  for (const auto& candidate : found) out += candidate.word + "\t" + candidate.meaning + "\n";
  context.out(out);
  return 0;
}

}  // namespace

Command completion_command() {
  return {.name = "completion",
          .group = "Machine",
          .summary = "print the completion script of a shell",
          .positionals = {{"SHELL", "bash, zsh or fish", true, Completes::kShells}},
          .examples = {{"locki completion bash > ~/.local/share/bash-completion/completions/locki", ""},
                       {"locki completion fish > ~/.config/fish/completions/locki.fish", ""}},
          .run = script};
}

Command complete_command() {
  return {.name = "__complete", .summary = "complete a command line", .passes_rest = true, .rest_name = "WORDS", .run = answer};
}

}  // namespace locki::cli
