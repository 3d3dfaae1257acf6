#include "git/unfold.h"

#include <algorithm>

#include "base/strings.h"

namespace locki::git {

Result<RawTree> parse_tree(std::string_view raw, std::size_t id_bytes) {
  RawTree tree;
  while (!raw.empty()) {
    const auto space = raw.find(' ');
    const auto end = raw.find('\0');
    if (space == std::string_view::npos || end == std::string_view::npos || space > end ||
        raw.size() - end - 1 < id_bytes) {
      return fail(ErrorKind::kProtocol, "a tree object is broken");
    }
    const std::string_view mode = raw.substr(0, space);
    if (mode == "40000" || mode == "040000") {
      tree.subtrees.push_back(hex(as_bytes(raw.substr(end + 1, id_bytes))));
    } else {
      ++tree.entries;
    }
    raw.remove_prefix(end + 1 + id_bytes);
  }
  return tree;
}

Result<> Unfolder::load_all(std::vector<ObjectId> wanted) {
  while (!wanted.empty()) {
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    std::erase_if(wanted, [&](const ObjectId& id) { return trees_.contains(id); });
    if (wanted.empty()) break;
    if (trees_.size() + wanted.size() > limits_.trees)
      return fail(ErrorKind::kProtocol, "there are more directories than a worktree may have");
    TRY_ASSIGN(auto loaded, load_(wanted));
    std::vector<ObjectId> next;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      next.insert(next.end(), loaded[i].subtrees.begin(), loaded[i].subtrees.end());
      trees_.emplace(wanted[i], std::move(loaded[i]));
    }
    wanted = std::move(next);
  }
  return {};
}

// Recursion ends at the depth limit; a tree that is too deep counts as too large. Object ids are hashes, so there are
// no cycles.
Unfolder::Size Unfolder::measure(const ObjectId& tree, std::size_t level) {
  if (level > limits_.depth) return {limits_.paths + 1, limits_.depth + 1};
  if (const auto known = sizes_.find(tree); known != sizes_.end()) return known->second;
  const RawTree& raw = trees_.at(tree);
  Size size{raw.entries, 1};
  for (const ObjectId& subtree : raw.subtrees) {
    const Size below = measure(subtree, level + 1);
    size.paths = std::min(size.paths + below.paths + 1, limits_.paths + 1);
    size.depth = std::min(std::max(size.depth, below.depth + 1), limits_.depth + 1);
  }
  sizes_.emplace(tree, size);
  return size;
}

Result<> Unfolder::check(const std::vector<ObjectId>& roots) {
  TRY(load_all(roots));
  for (const ObjectId& root : roots) {
    const Size size = measure(root, 1);
    if (size.depth > limits_.depth) return fail(ErrorKind::kProtocol, "a tree is deeper than a worktree may be");
    if (size.paths > limits_.paths) return fail(ErrorKind::kProtocol, "a tree has more paths than a worktree may have");
  }
  return {};
}

}  // namespace locki::git
