#include "cli/help.h"

#include <algorithm>

#include "base/strings.h"
#include "term/width.h"

namespace locki::cli {
namespace {

struct Row {
  std::string left, right;
};

std::string rows(const std::vector<Row>& all, const term::Style& style) {
  std::size_t width = 0;
  for (const auto& row : all) width = std::max(width, std::min<std::size_t>(term::display_width(row.left), 46));
  std::string out;
  for (const auto& row : all) {
    const auto used = term::display_width(row.left);
    out += "  " + style.bold(row.left);
    if (row.right.empty()) {
      out += "\n";
      continue;
    }
    out += used > width ? "\n" + std::string(width + 4, ' ') : std::string(width - used + 2, ' ');
    out += row.right + "\n";
  }
  return out;
}

std::string sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 32);
  return text + ".";
}

std::string names_of(const Command& command) {
  auto all = command.aliases;
  all.insert(all.begin(), command.name);
  return join(all, ", ");
}

std::string positional_of(const Positional& positional) {
  const auto shown = positional.name + (positional.repeats ? "…" : "");
  return positional.required ? shown : "[" + shown + "]";
}

std::string option_of(const Option& option) {
  auto flags = join(split(option.flags, ','), ", ");
  return option.value.empty() ? flags : flags + " " + option.value;
}

// Commands with the same summary (the agents) share a line.
std::vector<Row> overview_rows(const std::vector<Command>& commands, const std::string& group) {
  std::vector<Row> all;
  for (const auto& command : commands) {
    if (command.group != group) continue;
    auto left = names_of(command);
    if (!all.empty() && all.back().right == command.summary) {
      all.back().left += ", " + left;
      continue;
    }
    all.push_back({left, command.summary});
  }
  return all;
}

}  // namespace

std::string usage_of(const Command& command, const std::string& words) {
  std::string out = "locki " + words;
  if (!command.children.empty()) return out + " COMMAND";
  if (!command.options.empty() || command.json) out += " [OPTIONS]";
  for (const auto& positional : command.positionals) out += " " + positional_of(positional);
  if (command.passes_rest) out += command.session && command.rest_name == "CMD" ? " [-- CMD…]" : " [" + command.rest_name + "…]";
  return out;
}

std::string overview(const std::vector<Command>& commands, const term::Style& style) {
  std::string out =
      "locki runs AI coding agents with every permission prompt switched off, in a virtual machine of their own.\n"
      "Each sandbox is a git branch with a worktree on your machine, and a Linux container that cannot touch anything else.\n\n" +
      style.bold("Usage:") + " locki COMMAND [NAME] [ARGS…]\n";
  std::vector<std::string> groups;
  for (const auto& command : commands) {
    if (!command.group.empty() && std::find(groups.begin(), groups.end(), command.group) == groups.end()) groups.push_back(command.group);
  }
  for (const auto& group : groups) {
    out += "\n" + style.bold(group + ":") + "\n" + rows(overview_rows(commands, group), style);
  }
  out += "\n" + style.bold("Options:") + "\n" +
         rows({{"-h, --help", "help; also for each command: locki new --help"},
               {"--json", "data as JSON, where a command shows data"},
               {"-q, --quiet", "only warnings and errors"},
               {"--verbose", "every step"},
               {"--version", "print the version"}},
              style);
  out += "\n" + style.bold("Examples:") + "\n" +
         rows({{"locki claude my-feature", "let Claude Code work on a new branch"},
               {"locki x my-feature -- make test", "run a command in its sandbox"},
               {"locki diff my-feature", "see what it changed"},
               {"locki list", "what there is"}},
              style);
  out += "\nWithout NAME: the sandbox whose worktree you are in, else a choice. Everything behind NAME goes to the agent.\n";
  return out;
}

std::string help_of(const Command& command, const std::string& words, const term::Style& style) {
  std::string out = style.bold("Usage:") + " " + usage_of(command, words) + "\n\n";
  out += (command.description.empty() ? sentence(command.summary) : command.description) + "\n";
  if (!command.aliases.empty()) out += "\nAlso called: " + join(command.aliases, ", ") + "\n";
  std::vector<Row> children;
  for (const auto& child : command.children) {
    if (!child.summary.empty()) children.push_back({names_of(child), child.summary});
  }
  if (!children.empty()) out += "\n" + style.bold("Commands:") + "\n" + rows(children, style);
  std::vector<Row> positionals;
  for (const auto& positional : command.positionals) positionals.push_back({positional.name, positional.help});
  if (!positionals.empty()) out += "\n" + style.bold("Arguments:") + "\n" + rows(positionals, style);
  std::vector<Row> options;
  for (const auto& option : command.options) options.push_back({option_of(option), option.help});
  if (command.json) options.push_back({"--json", "as JSON"});
  if (!options.empty()) out += "\n" + style.bold("Options:") + "\n" + rows(options, style);
  std::vector<Row> examples;
  for (const auto& example : command.examples) examples.push_back({example.line, example.meaning});
  if (!examples.empty()) out += "\n" + style.bold("Examples:") + "\n" + rows(examples, style);
  return out;
}

}  // namespace locki::cli
