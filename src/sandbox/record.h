// What is known of a sandbox, on disk: STATE/sandboxes/ID/record.json, replaced atomically. A record is written before anything is made
// for it, and removed after everything is gone, so that whatever a crash leaves behind can be found by its record.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace locki::sandbox {

// Sandboxes are at 10.77.C.D with C from 1 to kAddressBlocks and D from 1 to kAddressesPerBlock; the VM knows the same numbers
// (recipes/vm: net-up).
inline constexpr unsigned kAddressBlocks = 4, kAddressesPerBlock = 250;

// A sandbox's name is its branch's name: letters, digits and . _ - /, as strict as the strictest of git, Incus and file systems.
Result<> check_name(std::string_view name);

struct Record {
  static constexpr int kVersion = 1;
  std::string id;        // 12 hex digits of a hash of repository and name: file-system and Incus safe
  std::string name;      // as the user typed it; also the branch
  std::string repo;      // absolute path of the user's checkout (top level of its main or linked worktree)
  std::string git_dir;   // the common git directory
  std::string worktree;  // absolute path on the host, and inside
  std::string base;      // the commit that the branch began at
  std::string instance;  // Incus instance name
  std::string address;   // IPv4, of the sandboxes' network in the VM
  std::string created;   // RFC 3339, UTC
  std::set<std::string> agents;
  bool cloned = false;         // the repository inside is complete
  std::string incarnation;     // of the clone inside; another one means that what was agreed with the last counts no more
  std::string cloned_at;       // the commit that this clone was made from; "" when not known
  std::int64_t cloned_when = 0;  // nanoseconds since 1970; what the machine's disk has of it may be older after another boot
  bool settled = false;        // nothing inside that is not here: set when it was stopped in good order
  std::int64_t rested = 0;     // when it was settled (rest_mark.h), with the branch at rested_tip; 0: never
  std::string rested_tip;
  std::map<std::string, std::string> other_branches;  // made inside, when it was settled: name, for people -> tip
  std::int64_t stashes = 0;                           // the same
  std::string programs;        // of ours in the container (ContainerSetup); "" when not known
  bool made_branch = false;    // the branch is ours: it did not exist before
  std::string upstream_of;     // the branch that was checked out when it began; for remove --merged
};

json::object to_json(const Record& record);
Result<Record> record_from_json(const json::object& o);

class RecordStore {
 public:
  explicit RecordStore(std::filesystem::path directory) : directory_(std::move(directory)) {}
  // An address that is not taken: by the id, or the next one.
  // kNoSpace when all are taken.
  static Result<std::string> free_address(const std::string& id, const std::set<std::string>& taken);
  static std::string id_of(std::string_view git_dir, std::string_view name);
  std::filesystem::path directory_of(const std::string& id) const { return directory_ / id; }  // also holds mirror/, history/

  // Records that cannot be read are reported in `broken` (id: reason), never dropped.
  Result<std::vector<Record>> list(std::vector<std::string>* broken = nullptr) const;
  Result<Record> load(const std::string& id) const;  // kNotFound
  Result<> save(const Record& record) const;
  Result<> remove(const std::string& id) const;  // the whole directory of it

 private:
  std::filesystem::path directory_;
};

}  // namespace locki::sandbox
