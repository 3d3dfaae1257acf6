// From words to a command and its arguments. The only header's .cc that includes CLI11. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/context.h"

namespace locki::cli {

struct Invocation {
  std::vector<const Command*> path;  // "vm", "status"; empty: no command was named
  Arguments arguments;
  Globals globals;
  bool help = false, version = false;

  const Command* command() const { return path.empty() ? nullptr : path.back(); }
  std::string words() const;  // "vm status"
};

// `words` are argv without the program. kUsage says what is wrong and what may have been meant; then `so_far` holds what was understood.
Result<> parse(const std::vector<Command>& commands, const std::vector<std::string>& words, Invocation& so_far);

}  // namespace locki::cli
