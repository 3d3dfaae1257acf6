#include "review/repository_parts.h"

#include <algorithm>
#include <array>

#include "base/path_rules.h"

namespace locki::review {
namespace {

constexpr std::array<std::string_view, 5> kSteering{"config", "config.worktree", "commondir", "objects", "refs"};

}  // namespace

std::optional<std::string> why_repository_part(std::string_view path, const std::function<bool(std::string_view directory)>& host_has_head) {
  const std::size_t slash = path.rfind('/');
  const std::string name = path_rules::fold(path.substr(slash == std::string_view::npos ? 0 : slash + 1));
  if (name == "head") return "with objects and refs beside it git takes the folder for a repository, and runs what its config names";
  // Every directory above: hooks/pre-commit belongs to the repository two levels up. The worktree itself has a .git, which git prefers.
  for (std::size_t end = path.rfind('/'); end != std::string_view::npos && end > 0; end = path.rfind('/', end - 1)) {
    const std::string_view rest = path.substr(end + 1);
    const std::string first = path_rules::fold(rest.substr(0, rest.find('/')));
    const bool steers = first == "hooks" || (rest.find('/') == std::string_view::npos && std::find(kSteering.begin(), kSteering.end(), first) != kSteering.end());
    if (steers && host_has_head(path.substr(0, end))) return "the folder is a git repository: this is what it runs";
  }
  return std::nullopt;
}

}  // namespace locki::review
