// What git ignores, asked of git itself. Blocking; one thread. Without a repository (not made yet, or deleted by
// whoever works inside) a spare empty one gives git a place to stand, so that the .gitignore files still count.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace locki::mirror {

class IgnoreRules {
 public:
  // `spare`: where the empty repository may be made; "" for nowhere. An empty `git`: nothing is ignored.
  IgnoreRules(std::filesystem::path root, std::string git, std::map<std::string, std::string> environment,
              std::filesystem::path spare);

  // Everything ignored: files, and directories that are ignored as a whole. Tracked files are never among them.
  Result<std::set<std::string>> list();
  // Those of `paths` that are ignored (tracked ones are not).
  Result<std::set<std::string>> check(const std::vector<std::string>& paths);

  // Argument vectors, for the tests.
  static std::vector<std::string> list_arguments();
  static std::vector<std::string> check_arguments();

 private:
  Result<std::string> git(std::vector<std::string> arguments, const std::string& input, int accepted_status);
  Result<> make_spare();

  std::filesystem::path root_;
  std::string git_;
  std::map<std::string, std::string> environment_;
  std::filesystem::path spare_;
};

}  // namespace locki::mirror
