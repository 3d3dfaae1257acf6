// How many paths a tree unfolds to, and how deep, without unfolding it: subtrees are shared objects, so ten lines can
// describe a billion paths ("git bomb"), and every later git command would try to list them. Pure but for the loader;
// one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "git/command.h"

namespace locki::git {

// One raw tree object: "<mode> <name>\0<binary id>" and so on. kProtocol when it is not.
struct RawTree {
  std::uint64_t entries = 0;       // that are not trees
  std::vector<ObjectId> subtrees;  // may repeat
};
Result<RawTree> parse_tree(std::string_view raw, std::size_t id_bytes);

class Unfolder {
 public:
  // Gives the parsed trees for these ids, in order.
  using Loader = std::function<Result<std::vector<RawTree>>(const std::vector<ObjectId>& ids)>;
  struct Limits {
    std::uint64_t paths = 1'000'000;
    std::size_t depth = 64;
    std::size_t trees = 1'000'000;
  };
  Unfolder(Loader load, Limits limits) : load_(std::move(load)), limits_(limits) {}

  // Each of these trees, with all beneath it, keeps within the limits; else kProtocol.
  Result<> check(const std::vector<ObjectId>& roots);

 private:
  struct Size {
    std::uint64_t paths = 0;  // saturates above the limit
    std::size_t depth = 0;    // 0: not known yet
  };
  Result<> load_all(std::vector<ObjectId> wanted);
  Size measure(const ObjectId& tree, std::size_t level);

  Loader load_;
  Limits limits_;
  std::unordered_map<ObjectId, RawTree> trees_;
  std::unordered_map<ObjectId, Size> sizes_;
};

}  // namespace locki::git
