// What the mirror carries, as a value: path -> kind, executable bit, size, content hash. Pure; no thread rules.
//
// Paths are relative, '/'-separated byte strings that passed check_path() (mirror/names.h). A state never holds a
// `.git`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace locki::mirror {

// The values travel over the wire and sit in the stored base state: never renumber.
enum class EntryKind : std::uint8_t { kFile = 1, kDirectory = 2, kSymlink = 3 };

std::string_view to_string(EntryKind kind);

struct Entry {
  EntryKind kind = EntryKind::kFile;
  bool executable = false;  // files only: any of the three x bits; all of them are set when it is written
  std::uint64_t size = 0;   // files: bytes; symlinks: length of the target; directories: 0
  Hash content;             // files: BLAKE2b-256 of the bytes; symlinks: of the target; directories: all zero
  std::string target;       // symlinks only
  bool operator==(const Entry&) const = default;

  static Entry file(std::uint64_t size, const Hash& content, bool executable = false);
  static Entry directory();
  static Entry symlink(std::string target);
};

// Sorted by bytes, so that `a` comes before `a/b`, but `a-b` may sit between them: see `beneath()`.
using State = std::map<std::string, Entry, std::less<>>;

struct Change {
  std::string path;
  std::optional<Entry> entry;  // nullopt: gone
  bool operator==(const Change&) const = default;
};

// What turns `from` into `to`, sorted by path.
std::vector<Change> diff(const State& from, const State& to);
void apply(State& state, const std::vector<Change>& changes);
void apply(State& state, const Change& change);

// "" for a path of one component.
std::string_view parent_of(std::string_view path);
// What is known of a path once it was looked at or changed: above what is there are directories, and beneath what is none
// there is nothing. Both sides keep their books with it, so that they agree on what an answer about one path says of others.
void record(State& state, std::string_view path, const std::optional<Entry>& entry);
// True for "a/b" beneath "a"; false for "a" itself.
bool is_beneath(std::string_view path, std::string_view directory);
// The entries beneath `directory`, itself excluded: [first, second).
std::pair<State::const_iterator, State::const_iterator> beneath(const State& state, std::string_view directory);

}  // namespace locki::mirror
