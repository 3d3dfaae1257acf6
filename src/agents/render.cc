#include "agents/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "agents/placeholders.h"
#include "base/strings.h"

namespace locki::agents {

namespace {

bool has_control_bytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<> check_context(const SandboxContext& context) {
  const std::pair<std::string_view, const std::string*> words[] = {
      {"name", &context.sandbox}, {"branch", &context.branch}, {"user", &context.user}, {"worktree", &context.worktree}, {"home", &context.home}};
  for (const auto& [what, word] : words) {
    if (word->empty() || has_control_bytes(*word) || !is_utf8(*word)) {
      return fail(ErrorKind::kUsage, fmt::format("\"{}\" cannot be the {} of a sandbox", printable(*word), what));
    }
  }
  for (const auto* path : {&context.worktree, &context.home}) {
    if (path->front() != '/') return fail(ErrorKind::kUsage, fmt::format("{} is not an absolute path", printable(*path)));
  }
  return {};
}

std::string content_of(const FileTemplate& file, const Values& values) {
  switch (file.format) {
    case FileTemplate::Format::kText:
      return fill(file.text, values);
    case FileTemplate::Format::kJson:
      return json::pretty(fill(json::value(file.tree), values)) + "\n";
    case FileTemplate::Format::kToml:
      return toml_text(fill(json::value(file.tree), values).get_object());
  }
  return {};
}

void merge_into(json::object& target, const json::object& wanted) {
  for (const auto& [key, item] : wanted) {
    auto* present = target.if_contains(key);
    if (present != nullptr && present->is_object() && item.is_object()) {
      merge_into(present->get_object(), item.get_object());
    } else {
      target[key] = item;
    }
  }
}

std::string in_store(std::string_view rest) { return fmt::format("{}/{}", kStore, rest); }

std::string program_in(const std::string& directory, const Agent& agent) {
  return fmt::format("{}/node_modules/.bin/{}", directory, agent.program);
}

}  // namespace

std::string program_path(const Agent& agent) { return program_in(in_store(agent.name), agent); }

InstallPlan install_plan(const Agent& agent, const std::string& generation) {
  const std::string generations = in_store("generations/" + agent.name);
  const std::string directory = generations + "/" + generation;
  const std::string link = in_store(agent.name);
  const std::string next_link = in_store(fmt::format(".{}.next", agent.name));
  const auto command = [&](std::vector<std::string> argv, std::string input = "") { return Command{std::move(argv), agent.environment, "/", std::move(input)}; };

  std::vector<std::string> npm = {"/usr/bin/npm", "install", "--prefix", directory, "--omit=dev", "--no-fund", "--no-audit",
                                  "--no-progress", "--no-update-notifier"};
  // Scripts run in a throw-away container, but what does not need them is better off without.
  if (!agent.install_scripts) npm.push_back("--ignore-scripts");
  npm.push_back(agent.version.empty() ? agent.package : agent.package + "@" + agent.version);

  // An optional package of a version that does not exist is passed over in silence: hundreds of megabytes that nobody runs.
  json::object package = {{"private", true}};
  json::object overrides;
  for (const auto& name : agent.skip) overrides[name] = "0.0.0-none";
  if (!overrides.empty()) package["overrides"] = std::move(overrides);

  InstallPlan plan;
  plan.install = {
      // Each by name: readable by all, whatever the umask.
      command({"/usr/bin/install", "-d", "-m", "0755", std::string(kStore), in_store("generations"), generations, directory}),
      command({"/usr/bin/dd", "status=none", "of=" + directory + "/package.json"}, json::serialize(package)),
      command(std::move(npm)),
      // Whatever the umask and the packages' own modes: every sandbox can read it.
      command({"/usr/bin/chmod", "-R", "u+rwX,go+rX,go-w", directory}),
  };
  plan.version = command({program_in(directory, agent)});
  plan.version.argv.insert(plan.version.argv.end(), agent.version_args.begin(), agent.version_args.end());
  plan.activate = {
      // The one that goes out of use counts from today.
      command({"/usr/bin/touch", "-c", link}),
      command({"/usr/bin/ln", "-sfn", fmt::format("generations/{}/{}", agent.name, generation), next_link}),
      command({"/usr/bin/mv", "-Tf", next_link, link}),
      command({"/usr/bin/find", generations, "-mindepth", "1", "-maxdepth", "1", "!", "-name", generation, "-mtime", "+7", "-exec", "/usr/bin/rm",
               "-rf", "{}", "+"}),
  };
  return plan;
}

Command version_command(const Agent& agent) {
  Command command{{program_path(agent)}, agent.environment, "/"};
  command.argv.insert(command.argv.end(), agent.version_args.begin(), agent.version_args.end());
  return command;
}

Result<std::vector<File>> files_for(const Agent& agent, const std::string& note, const SandboxContext& context) {
  TRY(check_context(context));
  Values values = {{"worktree", context.worktree}, {"home", context.home},     {"user", context.user},
                   {"sandbox", context.sandbox},   {"branch", context.branch}};
  values["note"] = fill(note, values);

  std::vector<File> files;
  for (const auto& file : agent.files) {
    files.push_back({fill(file.path, values), file.mode, file.policy, content_of(file, values), file.path.starts_with("${home}/")});
  }
  return files;
}

std::string merged(const std::string& wanted, const std::string& existing) {
  auto target = json::parse_object(existing, 8 << 20);
  const auto ours = json::parse_object(wanted);
  if (!target || !ours) return wanted;
  merge_into(*target, *ours);
  return json::pretty(json::value(std::move(*target))) + "\n";
}

Command command(const Agent& agent, const SandboxContext& context, const std::vector<std::string>& arguments) {
  Command result{{program_path(agent)}, agent.environment, context.worktree};
  result.argv.insert(result.argv.end(), agent.bypass_args.begin(), agent.bypass_args.end());
  result.argv.insert(result.argv.end(), arguments.begin(), arguments.end());
  return result;
}

}  // namespace locki::agents
