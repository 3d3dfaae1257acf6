// One side's worktree on disk: what is in it (scan, rescan) and changing it under preconditions (put, remove). The same
// code runs on the host and in the endpoint. Owned by one thread; blocking.
//
// Everything goes through sys/beneath.h: no symlink is followed, nothing outside the root is touched, whatever happens
// in it meanwhile. The tree keeps the State of its last scan and updates it with what it applies, so that its own
// writes do not come back as changes.
//
// Left out of the State: anything named `.git` and nested repositories as a whole; what git ignores and nobody asked
// for; what cannot travel (listed in skipped()). What was once in the State, or was named by keep(), stays in it as
// long as it exists, also when git would ignore it later: a new line in .gitignore must not delete files on the other
// side.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mirror/state.h"
#include "sys/beneath.h"

namespace locki::mirror {

struct TreeOptions {
  std::string git;                                     // absolute path of git; "": nothing is ignored
  std::map<std::string, std::string> git_environment;  // the whole of it; may name GIT_DIR
  // Stat cache (path -> stat, hash), so that unchanged files are not read again after a restart; also the list of held
  // paths. Empty: none. Must lie where the sandbox of the other side cannot write.
  std::filesystem::path cache;
  std::vector<std::string> include;  // these paths and all beneath them, also when git ignores them
  std::vector<std::string> exclude;  // these paths and all beneath them never
  // Host side: what git ignored at any scan stays out, whatever .gitignore or the index say later, unless it is in
  // `include`: the sandbox can edit both, and could ask for the host's .env that way.
  bool hold_ignored = false;
  std::uint64_t max_file = 2ULL << 30;
  std::size_t max_entries = 1'000'000;
  bool fsync = false;  // each file before it is renamed into place
  // Where unfinished files lie, and `saved` for what a killed process had taken in hand: see staging.h. None: beside
  // their targets.
  std::vector<std::filesystem::path> staging;
  std::filesystem::path saved;
  // Called with each directory's path and descriptor before it is listed: the place for TreeWatcher::add.
  std::function<void(std::string_view path, int directory_fd)> before_listing;
};

// The result of an apply. Nothing was changed unless it is kApplied.
struct Outcome {
  enum class Status { kApplied, kConflict, kFailed };
  Status status = Status::kApplied;
  std::optional<Entry> actual;  // kConflict: what is there (nullopt: nothing)
  std::string reason;           // kFailed and kConflict: for people, printable
  bool applied() const { return status == Status::kApplied; }
};

// The next bytes of a file's content; 0 at the end.
using ContentSource = std::function<Result<std::size_t>(std::uint8_t* data, std::size_t size)>;

class FilePut;

class Tree {
 public:
  // kNotFound when there is no such directory. Reads the cache; does not scan.
  static Result<Tree> open(const std::filesystem::path& root, TreeOptions options);
  Tree(Tree&&) noexcept;
  Tree& operator=(Tree&&) noexcept;
  ~Tree();  // writes the cache, and removes empty staging directories

  // Paths that count as part of the state even where git ignores them. Adds to those named before.
  void keep(const std::vector<std::string>& paths);

  // Everything, anew. Sees to the temporary files that a killed process left. An error leaves state() as it was.
  Result<State> scan();
  // Only these paths (a directory: with all beneath it), "" for everything's root list. Changes of ignore rules turn it
  // into a full scan. The result is relative to state() before the call.
  Result<std::vector<Change>> rescan(const std::set<std::string>& dirty);
  const State& state() const;
  // Path -> why it does not travel. At most 10,000 are listed.
  const std::map<std::string, std::string>& skipped() const;
  // True when the root is still the directory that was opened (not moved away, deleted or replaced).
  bool root_alive() const;
  const sys::Directory& root() const;

  // A regular file for reading. The caller hashes what it reads: it may change while it is read.
  Result<sys::OpenedFile> open_file(std::string_view path) const;

  // Applying. `expected`: what must be there now, nullopt for nothing. When what is there already equals what is
  // wanted: kApplied. Missing parents are made. Kinds may change (a directory only when it is empty). The executable
  // bit is the only mode that is carried: a replaced file keeps its other bits, a new one gets the umask's; as root,
  // owners follow what was replaced, else the parent directory.
  Outcome put_file(std::string_view path, const Entry& entry, const ContentSource& content,
                   const std::optional<Entry>& expected);
  // The same in pieces, for content that arrives over time.
  Result<FilePut> begin_file(std::string_view path, const Entry& entry, const std::optional<Entry>& expected);
  Outcome put_directory(std::string_view path, const std::optional<Entry>& expected);
  Outcome put_symlink(std::string_view path, const Entry& entry, const std::optional<Entry>& expected);
  // Absent already: kApplied. A directory must be empty, of ignored files too: else kConflict.
  Outcome remove(std::string_view path, const Entry& expected);

  // The other side was told what is there (Outcome::actual): from now on state() says the same, and a rescan reports what
  // differs from it. Only for a side that has nothing to hide: the path travels from then on, whatever git ignores.
  void note_told(std::string_view path, const std::optional<Entry>& actual);

  Result<> save_cache();

  struct Impl;

 private:
  friend class FilePut;
  explicit Tree(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A file being written before it takes its place. Destroyed without commit(): removed. Must not outlive its Tree.
class FilePut {
 public:
  FilePut(FilePut&&) noexcept;
  FilePut& operator=(FilePut&&) noexcept;
  ~FilePut();
  // kProtocol when it becomes larger than announced, kNoSpace when the disk is full.
  Result<> write(ByteView bytes);
  // Size and hash must be those announced (else kFailed), what is there must be what was expected (else kConflict).
  Outcome commit();

 private:
  friend class Tree;
  struct Impl;
  explicit FilePut(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::mirror
