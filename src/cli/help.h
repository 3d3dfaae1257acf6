// Help, made from the command table. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "term/style.h"

namespace locki::cli {

std::string overview(const std::vector<Command>& commands, const term::Style& style);
// `words`: how the command is called, "vm status".
std::string help_of(const Command& command, const std::string& words, const term::Style& style);
// "locki remove|rm [--force] NAME"
std::string usage_of(const Command& command, const std::string& words);

}  // namespace locki::cli
