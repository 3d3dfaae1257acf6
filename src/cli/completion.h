// Shell completion: small scripts that ask `locki __complete`, and its answer. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace locki::cli {

struct Candidate {
  std::string word, meaning;
};

// Completions of the last of `words` (which may be ""); `names` gives the words for what a positional completes, when asked.
std::vector<Candidate> complete(const std::vector<Command>& commands, const std::vector<std::string>& words,
                                const std::function<std::vector<std::string>(Completes)>& names);

// The script for "bash", "zsh" or "fish"; "" for another shell.
std::string_view completion_script(std::string_view shell);

}  // namespace locki::cli
