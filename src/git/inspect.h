// Our own walk over the commits and trees of a quarantined pack: what git's fsck lets pass and a host must not get.
// Reads objects only; blocking.
//
// Every new commit is compared with its first parent, so each path is looked at where it first appears, with its whole
// path, and what the user's own history holds (an absolute symlink, a submodule) stays allowed where it is. How much
// the trees unfold to is known before anything unfolds them (git/unfold.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "git/pack.h"

namespace locki::git {

class Inspector {
 public:
  using Command = std::function<sys::ProcessSpec(std::vector<std::string> args)>;
  // `command` makes commands that see the quarantine.
  Inspector(Command command, AcceptLimits limits) : command_(std::move(command)), limits_(limits) {}

  // kProtocol with the reason.
  Result<> inspect(const std::vector<ObjectId>& tips, const Known& known) const;

 private:
  Result<> check_tips(const std::vector<ObjectId>& tips) const;
  // `range`: arguments of rev-list that name what is new.
  Result<std::vector<std::string>> new_commits(const std::vector<std::string>& range) const;
  // Every new object is there and of a sensible type and size. Gives the new trees.
  Result<std::vector<ObjectId>> check_connected(const std::vector<std::string>& range) const;
  Result<> check_sizes(const std::vector<ObjectId>& trees) const;
  Result<> check_commits(const std::vector<std::string>& commits) const;
  Result<> check_paths(const std::vector<std::string>& commits) const;
  Result<> check_targets(const std::vector<std::pair<std::string, std::string>>& symlinks) const;
  Result<std::string> run(std::vector<std::string> args, std::string_view input, std::size_t max_output,
                          const char* what) const;

  Command command_;
  AcceptLimits limits_;
};

// One record of `git diff-tree -r -z --raw`: the new side. Pure: the tests feed it hostile ones.
Result<> check_change(std::string_view mode, std::string_view path);

}  // namespace locki::git
