#include "cli/completion.h"

#include <algorithm>

#include "base/strings.h"

namespace locki::cli {
namespace {

// Each hands over the words up to the cursor, and gets lines of WORD<tab>MEANING back; nothing at all means: files.
constexpr std::string_view kBash = R"sh(# locki completion for bash:  locki completion bash > ~/.local/share/bash-completion/completions/locki
_locki() {
  local IFS=$'\n' line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("${line%%$'\t'*}")
  done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -o nosort -F _locki locki
)sh";

constexpr std::string_view kZsh = R"sh(#compdef locki
# locki completion for zsh:  locki completion zsh > "${fpath[1]}/_locki"
_locki() {
  local -a found
  local line
  while IFS= read -r line; do
    found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#found} )); then
    _describe locki found
  else
    _files
  fi
}
if [ "$funcstack[1]" = "_locki" ]; then
  _locki "$@"
else
  compdef _locki locki
fi
)sh";

constexpr std::string_view kFish = R"sh(# locki completion for fish:  locki completion fish > ~/.config/fish/completions/locki.fish
function __locki_complete
  set -l words (commandline -opc) (commandline -ct)
  locki __complete -- $words[2..-1] 2>/dev/null
end
complete -c locki -a '(__locki_complete)'
)sh";

void offer(std::vector<Candidate>& out, const std::string& typed, const std::string& word, const std::string& meaning) {
  if (word.starts_with(typed)) out.push_back({word, meaning});
}

void offer_options(std::vector<Candidate>& out, const std::string& typed, const Command& command) {
  for (const auto& option : command.options) offer(out, typed, "--" + option.name(), option.help);
  if (command.json) offer(out, typed, "--json", "as JSON");
  offer(out, typed, "--help", "help on this command");
}

bool takes_value(const Command& command, const std::string& word) {
  return std::any_of(command.options.begin(), command.options.end(), [&](const Option& option) {
    const auto flags = split(option.flags, ',');
    return !option.value.empty() && std::find(flags.begin(), flags.end(), word) != flags.end();
  });
}

}  // namespace

std::vector<Candidate> complete(const std::vector<Command>& commands, const std::vector<std::string>& words,
                                const std::function<std::vector<std::string>(Completes)>& names) {
  std::vector<Candidate> out;
  const auto typed = words.empty() ? std::string() : words.back();
  const auto* level = &commands;
  const Command* command = nullptr;
  std::size_t i = 0;
  for (; i + 1 < words.size() && !level->empty(); ++i) {
    if (words[i].starts_with('-')) continue;
    command = find_command(*level, words[i]);
    if (command == nullptr) return out;
    level = &command->children;
  }
  if (command == nullptr || !command->children.empty()) {
    for (const auto& one : *level) {
      if (command == nullptr && one.group.empty()) continue;  // hidden
      offer(out, typed, one.name, one.summary);
    }
    return out;
  }
  // Which positional it is.
  std::size_t position = 0;
  for (; i + 1 < words.size(); ++i) {
    if (words[i] == "--" || (command->passes_rest && position > 0)) return out;  // the agent's or the command's own words
    if (takes_value(*command, words[i])) {
      ++i;
      if (i + 1 >= words.size()) return out;  // the value itself
    } else if (!words[i].starts_with('-')) {
      ++position;
    }
  }
  if (command->passes_rest && position > 0) return out;
  if (typed.starts_with('-')) {
    offer_options(out, typed, *command);
  } else if (position < command->positionals.size()) {
    const auto& positional = command->positionals[position];
    if (positional.completes == Completes::kNothing) return out;
    for (const auto& word : names(positional.completes)) offer(out, typed, word, "");
  }
  return out;
}

std::string_view completion_script(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return "";
}

}  // namespace locki::cli
