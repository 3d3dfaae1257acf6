#include "cli/command.h"

#include <algorithm>

namespace locki::cli {

std::string Arguments::value(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? "" : found->second.back();
}

std::vector<std::string> Arguments::values(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::string Option::name() const {
  const auto comma = flags.rfind(',');
  const auto last = comma == std::string::npos ? flags : flags.substr(comma + 1);
  return last.substr(last.find_first_not_of('-'));
}

bool Command::answers_to(const std::string& word) const {
  return name == word || std::find(aliases.begin(), aliases.end(), word) != aliases.end();
}

const Command* find_command(const std::vector<Command>& commands, const std::string& word) {
  for (const auto& command : commands) {
    if (command.answers_to(word)) return &command;
  }
  return nullptr;
}

}  // namespace locki::cli
