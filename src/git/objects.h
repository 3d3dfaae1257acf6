// Objects and differences of trees, read by plumbing: nothing that attributes, filters or drivers could steer. The formats are git's own (cat-file
// --batch, --raw -z); what is parsed may be hostile. Blocking.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "git/command.h"

namespace locki::git {

// `git cat-file --batch` output: "<oid> <type> <size>\n<bytes>\n" for each object asked for.
class BatchReader {
 public:
  explicit BatchReader(std::string_view out) : out_(out) {}
  // The next object's bytes; it must be of that type, else kProtocol.
  Result<std::string_view> next(std::string_view type);

 private:
  std::string_view out_;
};

// One record of `--raw -z`. Modes are octal text as git writes them; "000000" is none.
struct RawChange {
  std::string old_mode, new_mode;
  ObjectId old_id, new_id;
  std::string path;
};
// kProtocol for anything else.
Result<std::vector<RawChange>> parse_raw_changes(std::string_view out);

// The entries of `ls-tree -r -z`: mode, id, path. kProtocol for anything else.
struct TreeEntry {
  std::string mode;
  ObjectId id;
  std::string path;
};
Result<std::vector<TreeEntry>> parse_tree_listing(std::string_view out);

struct Blob {
  std::string content;
  bool whole = true;  // false: larger than the limit; then its beginning
};
// The contents of these blobs, in order, each at most `limit` bytes. `command` makes a command in the repository. kProtocol when one is missing or no blob.
using MakeCommand = std::function<sys::ProcessSpec(std::vector<std::string> args)>;
Result<std::vector<Blob>> read_blobs(const MakeCommand& command, const std::vector<ObjectId>& ids, std::uint64_t limit);

}  // namespace locki::git
