// path -> (stat, content hash): what lets a scan skip reading files that cannot have changed. A value; one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "base/result.h"
#include "sys/beneath.h"

namespace locki::mirror {

struct CachedHash {
  sys::FileStat stat;
  Hash content;
  std::int64_t hashed_at_ns = 0;  // CLOCK_REALTIME when reading began
};

class StatCache {
 public:
  // The hash, if the file is certainly still what was hashed: everything that lstat says is the same, and its last
  // change was long enough before it was read that a later write must show in a timestamp (git's "racy" rule; two
  // seconds cover the coarsest file systems).
  const Hash* find(const std::string& path, const sys::FileStat& stat) const;
  void put(const std::string& path, const sys::FileStat& stat, const Hash& content, std::int64_t hashed_at_ns);
  // The whole record, to carry it over into the cache of the next scan.
  const CachedHash* record(const std::string& path) const;
  void put(const std::string& path, const CachedHash& record) { records_[path] = record; }
  void erase(const std::string& path) { records_.erase(path); }
  std::size_t size() const { return records_.size(); }

  // What is not exactly what save() wrote is kCorrupt (or kNotFound); the caller starts with an empty one.
  static Result<StatCache> load(const std::filesystem::path& file);
  Result<> save(const std::filesystem::path& file) const;

 private:
  std::unordered_map<std::string, CachedHash> records_;
};

std::int64_t wall_clock_ns();

}  // namespace locki::mirror
