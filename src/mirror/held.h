// What is held at the door for the user's review, and what the user has let in: DIR/held.json, written by the worker, read by
// the daemon. A held file stays as it is on both sides; what it would become on the host is in the history (History::keep_held).
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "mirror/state.h"

namespace locki::mirror {

struct HeldFile {
  std::string path;
  Entry entry;          // what the sandbox has
  std::string why;      // printable
  std::string version;  // of the history, that has the content; "" when it is too large or could not be read
  // What an acceptance names: kind, executable bit and content.
  std::string content_id() const;
};
std::string content_id(const Entry& entry);
json::object to_json(const HeldFile& file);
Result<HeldFile> held_file_from_json(const json::object& o);

class HeldStore {
 public:
  // Empty when there is none. What cannot be read counts as nothing held and nothing let in: everything is held anew.
  static HeldStore open(const std::filesystem::path& directory);
  // For other processes: what is held now.
  static Result<std::vector<HeldFile>> read(const std::filesystem::path& directory);

  const std::map<std::string, HeldFile>& files() const { return files_; }
  bool accepted(const std::string& path, const Entry& entry) const;

  // In memory, until save().
  void put(HeldFile file);
  void erase(const std::string& path);
  // kConflict when the path does not hold exactly that content (any more).
  Result<> accept(const std::string& path, const std::string& content_id);
  // Paths whose entry in the worktree's index we marked (git/index_marks.h).
  const std::set<std::string>& marked() const { return marked_; }
  void set_marked(std::set<std::string> paths);

  // Writes when something changed since the last time.
  Result<> save();

 private:
  explicit HeldStore(std::filesystem::path file) : file_(std::move(file)) {}

  std::filesystem::path file_;
  std::map<std::string, HeldFile> files_;
  std::map<std::string, std::set<std::string>> accepted_;
  std::set<std::string> marked_;
  bool changed_ = false;
};

}  // namespace locki::mirror
