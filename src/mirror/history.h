// Every state that both sides agreed on, and every version that lost a conflict: a bare git repository of our own, one
// per sandbox, in the state directory. No user or system configuration, no hooks, no filters ever apply; contents come
// from descriptors we opened, never from paths that git opens. Blocking; one writer (the worker), any number of readers
// in other processes.
//
// refs/heads/states: one commit per agreed state (empty directories are not in it). refs/kept/<n>: one commit with one
// file each. refs/held/now: what waited for the user's review.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "git/command.h"
#include "mirror/state.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace locki::mirror {

struct Version {
  std::string id;                        // commit id in the history's repository
  std::int64_t time = 0;                 // seconds since 1970
  std::string summary;                   // "3 files" or "kept: both sides changed it"; printable
  std::optional<std::string> kept_path;  // set for a version that lost a conflict
};

// A file that waits for the user's review.
struct HeldContent {
  std::string path;
  Entry entry;
  std::string bytes;
};

class History {
 public:
  // Opens, or makes, the store. A store that a killed writer left (locks, half packs) is repaired.
  static Result<History> open(const git::Program& program, const std::filesystem::path& directory);
  // For readers; kNotFound when there is none yet.
  static Result<History> open_existing(const git::Program& program, const std::filesystem::path& directory);

  // Gives a file's content for reading. An error (gone, changed kind) leaves the path out of this version.
  using Opener = std::function<Result<sys::Fd>(const std::string& path)>;
  // One version: the last one with these changes. What is recorded is what is read, which may be newer than the entry
  // says.
  Result<> record(const std::vector<Change>& changes, const Opener& open);
  // The content at `path` that `entry` names is in the last version.
  bool has(std::string_view path, const Entry& entry) const;
  // State as of the last version, as far as this process knows: what was recorded by it, or loaded when it was opened.
  const State& recorded() const { return recorded_; }

  // One version that lost. `content` is an open file (ignored for symlinks). Gives its id.
  Result<std::string> keep(std::string_view path, const Entry& entry, int content, std::string_view reason);

  // Held files (mirror/held.h), to be shown and to be let in: one commit on refs/held/now with these contents. Gives its id.
  Result<std::string> keep_held(const std::vector<HeldContent>& files);

  // Newest first.
  Result<std::vector<Version>> list(std::size_t limit = 200) const;
  // Paths of a version with their kinds and executable bits, and sizes; contents are not hashed (all zero).
  Result<State> tree(std::string_view version) const;
  // A file's content (a symlink's target) in a version ("" : the last one), written to a descriptor. kNotFound.
  Result<> read_into(std::string_view version, std::string_view path, int out) const;
  // The same in memory, bounded.
  Result<std::string> read(std::string_view version, std::string_view path, std::size_t limit) const;
  // Which of these entries were in any version, at their path: paths with contents. Directories: anything was beneath.
  Result<std::set<std::pair<std::string, Hash>>> ever_had(const std::vector<Change>& candidates) const;
  // A file's content with that hash, from the last versions that have the path. kNotFound.
  Result<std::string> find(std::string_view path, const Hash& content, std::size_t limit) const;
  // Packs what has accumulated, if it is much.
  Result<> tidy();

 private:
  History(git::Program program, std::filesystem::path directory)
      : program_(std::move(program)), directory_(std::move(directory)) {}
  sys::ProcessSpec command(std::vector<std::string> args) const;
  Result<> load_recorded();
  // git writes a ref down before it gets its name; the name is up to us.
  Result<> sync_refs(const char* beneath) const { return sys::sync_directory(directory_ / "refs" / beneath); }

  git::Program program_;
  std::filesystem::path directory_;
  State recorded_;
};

}  // namespace locki::mirror
