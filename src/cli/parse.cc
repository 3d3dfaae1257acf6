#include "cli/parse.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>

#include "base/strings.h"
#include "term/fuzzy.h"

namespace locki::cli {
namespace {

enum class Global { kNone, kJson, kQuiet, kVerbose, kHelp, kVersion };

Global global_option(const std::string& word) {
  if (word == "--json") return Global::kJson;
  if (word == "-q" || word == "--quiet") return Global::kQuiet;
  if (word == "--verbose") return Global::kVerbose;
  if (word == "-h" || word == "--help") return Global::kHelp;
  if (word == "--version") return Global::kVersion;
  return Global::kNone;
}

void apply(Global global, Invocation& invocation) {
  switch (global) {
    case Global::kJson: invocation.globals.json = true; break;
    case Global::kQuiet: invocation.globals.quiet = true; break;
    case Global::kVerbose: invocation.globals.verbose = true; break;
    case Global::kHelp: invocation.help = true; break;
    case Global::kVersion: invocation.version = true; break;
    case Global::kNone: break;
  }
}

tl::unexpected<Error> unknown_command(const std::vector<Command>& commands, const std::string& word, const std::string& before) {
  std::vector<std::string> names;
  for (const auto& command : commands) {
    names.push_back(command.name);
    names.insert(names.end(), command.aliases.begin(), command.aliases.end());
  }
  const auto meant = term::nearest(word, names);
  const auto prefix = before.empty() ? "locki " : "locki " + before + " ";
  return fail(ErrorKind::kUsage, "there is no command “" + printable(before.empty() ? word : before + " " + word, 80) + "”",
              meant.empty() ? prefix + "--help" : prefix + meant);
}

bool takes_value(const Command& command, const std::string& word) {
  for (const auto& option : command.options) {
    if (option.value.empty()) continue;
    for (const auto& flag : split(option.flags, ',')) {
      if (flag == word) return true;
    }
  }
  return false;
}

// What goes on untouched begins behind the first word that is no option of ours, or behind "--".
std::vector<std::string> take_own(const Command& command, const std::vector<std::string>& words, std::vector<std::string>& rest) {
  std::vector<std::string> own;
  std::size_t i = 0;
  for (; i < words.size(); ++i) {
    if (words[i] == "--") break;
    own.push_back(words[i]);
    if (takes_value(command, words[i]) && i + 1 < words.size()) {
      own.push_back(words[++i]);
    } else if (!words[i].starts_with('-')) {
      ++i;
      break;
    }
  }
  if (i < words.size() && words[i] == "--") ++i;
  rest.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
  return own;
}

std::string without_full_stop(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  return text;
}

tl::unexpected<Error> unexpected_word(const Command& command, const std::string& word, const std::string& named) {
  if (!word.starts_with("-")) return fail(ErrorKind::kUsage, "“" + printable(word, 80) + "” is one word too many", "locki " + named + " --help");
  std::vector<std::string> known;
  for (const auto& option : command.options) known.push_back("--" + option.name());
  const auto meant = term::nearest(word, known);
  return fail(ErrorKind::kUsage, "“locki " + named + "” has no option “" + printable(word, 80) + "”", meant.empty() ? "locki " + named + " --help" : meant);
}

Result<> parse_leaf(const Command& command, std::vector<std::string> words, const std::string& named, Arguments& arguments) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();  // told by us, in our words
  std::deque<std::string> single;                 // stable addresses for CLI11
  std::deque<std::vector<std::string>> repeated;
  std::vector<std::pair<CLI::Option*, std::string>> bound;
  for (const auto& option : command.options) {
    CLI::Option* added = nullptr;
    if (option.value.empty()) added = app.add_flag(option.flags);
    else if (option.repeats) added = app.add_option(option.flags, repeated.emplace_back())->allow_extra_args(false);
    else added = app.add_option(option.flags, single.emplace_back())->take_last();
    bound.emplace_back(added, option.name());
  }
  for (const auto& positional : command.positionals) {
    auto* added = positional.repeats ? app.add_option(positional.name, repeated.emplace_back()) : app.add_option(positional.name, single.emplace_back());
    bound.emplace_back(added, positional.name);
  }
  std::reverse(words.begin(), words.end());  // CLI11 takes a vector from its end
  try {
    app.parse(words);
  } catch (const CLI::ParseError& e) {
    return fail(ErrorKind::kUsage, printable(without_full_stop(e.what())), "locki " + named + " --help");
  }
  for (const auto& word : app.remaining()) {
    if (word != "--") return unexpected_word(command, word, named);
  }
  for (const auto& [option, name] : bound) {
    if (option->count() > 0) arguments.set(name, option->results());
  }
  for (const auto& positional : command.positionals) {
    if (positional.required && arguments.value(positional.name).empty()) {
      return fail(ErrorKind::kUsage, "“locki " + named + "” needs " + positional.name, "locki " + named + " --help");
    }
  }
  return {};
}

}  // namespace

std::string Invocation::words() const {
  std::vector<std::string> names;
  for (const auto* command : path) names.push_back(command->name);
  return join(names, " ");
}

Result<> parse(const std::vector<Command>& commands, const std::vector<std::string>& words, Invocation& invocation) {
  // Down the tree of commands; global options may stand anywhere before what is passed on.
  const auto* level = &commands;
  std::size_t i = 0;
  for (; i < words.size() && !level->empty(); ++i) {
    if (const auto global = global_option(words[i]); global != Global::kNone) {
      apply(global, invocation);
      continue;
    }
    if (words[i].starts_with('-')) {
      return fail(ErrorKind::kUsage, "there is no option “" + printable(words[i], 80) + "” here", "locki --help");
    }
    const auto* command = find_command(*level, words[i]);
    if (command == nullptr) return unknown_command(*level, words[i], invocation.words());
    invocation.path.push_back(command);
    level = &command->children;
  }
  const auto* command = invocation.command();
  if (command == nullptr || !command->children.empty()) return {};

  std::vector<std::string> mine(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
  if (command->passes_rest) mine = take_own(*command, mine, invocation.arguments.rest);
  std::vector<std::string> own;
  bool options_end = false;
  for (const auto& word : mine) {
    const auto global = options_end ? Global::kNone : global_option(word);
    options_end = options_end || word == "--";
    if (global == Global::kNone || global == Global::kVersion) own.push_back(word);
    else apply(global, invocation);
  }
  if (invocation.help) return {};
  if (invocation.globals.json && !command->json) {
    return fail(ErrorKind::kUsage, "“locki " + invocation.words() + "” has no --json", "locki " + invocation.words() + " --help");
  }
  return parse_leaf(*command, std::move(own), invocation.words(), invocation.arguments);
}

}  // namespace locki::cli
