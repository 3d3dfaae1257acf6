#include "sandbox/shown_branch.h"

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "sys/file.h"

namespace locki::sandbox {
namespace {

constexpr std::size_t kMost = 16;

std::filesystem::path file_in(const std::filesystem::path& directory) { return directory / "reviewed-branch.json"; }

std::vector<std::string> load(const std::filesystem::path& directory) {
  std::vector<std::string> states;
  const auto text = sys::read_file(file_in(directory), 1 << 20);
  const auto list = text ? json::parse(*text) : Result<json::value>(json::array{});
  if (!list || !list->is_array()) return states;
  for (const auto& state : list->get_array())
    if (state.is_string()) states.emplace_back(state.get_string());
  return states;
}

}  // namespace

bool was_shown(const std::filesystem::path& directory, const std::string& state) {
  const auto states = load(directory);
  return std::find(states.begin(), states.end(), state) != states.end();
}

Result<> note_shown(const std::filesystem::path& directory, const std::string& state) {
  auto states = load(directory);
  std::erase(states, state);
  states.push_back(state);
  json::array list;
  for (std::size_t i = states.size() > kMost ? states.size() - kMost : 0; i < states.size(); ++i) list.emplace_back(states[i]);
  return sys::write_file(file_in(directory), json::serialize(list), 0600);
}

}  // namespace locki::sandbox
