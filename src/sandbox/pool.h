// Spare containers: made, started and prepared before anybody asks, so that a new sandbox only has to take one over. This is the record of
// them, STATE/spares.json: a spare is on it before its container is made, and off it before a sandbox gets it, so that no container has two
// owners and none is forgotten. Thread-safe.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace locki::sandbox {

// What the names of their containers begin with; they keep them when they become a sandbox's.
inline constexpr std::string_view kSpareInstance = "lk-spare-";

struct Spare {
  std::string instance;  // of Incus
  std::string address;
  std::string fits;      // what it was made from; a sandbox that needs something else cannot use it
  bool ready = false;    // it runs, with everything in it

  bool operator==(const Spare&) const = default;
};

class Pool {
 public:
  // What an earlier process left half-made is forgotten: nobody works on it any more. A file that cannot be read counts as empty.
  explicit Pool(std::filesystem::path file);

  std::vector<Spare> all() const;
  std::size_t ready() const;  // how many of them
  Result<> add(Spare spare);
  Result<> note_ready(const std::string& instance);
  // Off the record; absent is fine.
  Result<> remove(const std::string& instance);
  Result<> clear();
  // One that is ready and fits, off the record.
  Result<std::optional<Spare>> take(const std::string& fits);

 private:
  Result<> save(std::vector<Spare> spares);

  std::filesystem::path file_;
  mutable std::mutex mutex_;
  std::vector<Spare> spares_;
};

}  // namespace locki::sandbox
