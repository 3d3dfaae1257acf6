// Which histories are in the VM, each on a volume that the sandboxes of its repository begin from, and which of them may serve a new sandbox.
// This is the record of them, STATE/histories.json, on the host: what the VM says is not asked. A history is on it before its volume is made, and
// ready once everything in it is whole. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace locki::sandbox {

struct StoredHistory {
  std::string volume;   // of Incus
  std::string git_dir;  // the repository's common git directory, as in a sandbox's record
  std::string tip;      // everything that this commit reaches
  std::vector<std::string> boundary;  // up to here (git/shallow.h)
  std::uint64_t max_history = 0;      // the limit that made it
  std::uint64_t bytes = 0;
  bool ready = false;

  bool operator==(const StoredHistory&) const = default;
};

class Histories {
 public:
  // What an earlier process left half-made is forgotten. A file that cannot be read counts as empty: then the volumes are nobody's.
  explicit Histories(std::filesystem::path file);

  std::vector<StoredHistory> all() const;
  Result<> add(StoredHistory history);
  Result<> note_ready(const std::string& volume, std::uint64_t bytes);
  Result<> remove(const std::string& volume);  // absent is fine
  Result<> clear();

 private:
  Result<> save(std::vector<StoredHistory> histories);

  std::filesystem::path file_;
  mutable std::mutex mutex_;
  std::vector<StoredHistory> histories_;
};

// A history as seen from a branch that begins.
struct Candidate {
  bool reached = false;          // the branch reaches its tip, so that it shows nothing that the branch does not
  std::uint64_t difference = 0;  // bytes that the branch has beyond it
};
// What may be sent to each sandbox anew: as much as a repository has that is not worth sharing, or a quarter of the history.
std::uint64_t most_difference(std::uint64_t history_bytes, std::uint64_t share_from);
// The one with the least to send besides; nothing when none may be seen or all have fallen behind.
std::optional<std::size_t> choose(const std::vector<StoredHistory>& histories, const std::vector<Candidate>& candidates, std::uint64_t share_from);

}  // namespace locki::sandbox
