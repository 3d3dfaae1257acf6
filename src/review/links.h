// The other names that a path has through symlinks of the user's: with `.vscode -> conf` on the host, `conf/tasks.json` is
// `.vscode/tasks.json`, too. Works on names alone and follows nothing on disk. Pure; a value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace locki::review {

class Links {
 public:
  // Targets that lead out of the worktree lead to nothing in it, and are left out.
  void add(std::string_view path, std::string_view target);
  bool empty() const { return by_target_.empty(); }

  // The path itself first, then every other name of it. nullopt when there are more than can be looked at: then nothing is known.
  std::optional<std::vector<std::string>> names_of(std::string_view path) const;

 private:
  // Folded target -> the links that lead there.
  std::unordered_map<std::string, std::vector<std::string>> by_target_;
};

}  // namespace locki::review
