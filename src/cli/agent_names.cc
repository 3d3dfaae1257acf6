#include "cli/agent_names.h"

#include <algorithm>
#include <set>

namespace locki::cli {
namespace {

void add_from(const std::filesystem::path& directory, std::set<std::string>& names) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".toml") continue;
    const auto name = it->path().stem().string();
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (plain && !name.empty() && name.front() != '-' && name.size() <= 32) names.insert(name);
  }
}

}  // namespace

std::vector<std::string> agent_names(const sys::Paths& paths, const sys::Installation& installation) {
  std::set<std::string> names;
  add_from(installation.share / "agents", names);
  if (names.empty()) names = {"claude", "codex", "copilot", "gemini", "opencode", "pi"};
  if (!paths.config.empty()) add_from(paths.config / "agents", names);
  return {names.begin(), names.end()};
}

}  // namespace locki::cli
