#include "mirror/tree_cache.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::string_view kMagic = "locki stat cache 1\n";
constexpr std::int64_t kRacyNs = 2'000'000'000;

// The cache is read by the machine that wrote it: numbers in its own byte order.
void append_number(std::string& out, std::uint64_t value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out.append(raw, sizeof raw);
}

bool take_number(std::string_view& in, std::uint64_t& value) {
  if (in.size() < sizeof value) return false;
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return true;
}

bool take_record(std::string_view& in, std::string& path, CachedHash& record) {
  std::uint64_t length = 0, mtime = 0, ctime = 0, mode = 0, hashed = 0;
  if (!take_number(in, length) || length > in.size()) return false;
  path = in.substr(0, length);
  in.remove_prefix(length);
  if (!take_number(in, record.stat.dev) || !take_number(in, record.stat.ino) || !take_number(in, record.stat.size))
    return false;
  if (!take_number(in, mtime) || !take_number(in, ctime) || !take_number(in, mode) || !take_number(in, hashed))
    return false;
  if (in.size() < record.content.bytes.size()) return false;
  std::memcpy(record.content.bytes.data(), in.data(), record.content.bytes.size());
  in.remove_prefix(record.content.bytes.size());
  record.stat.mtime_ns = static_cast<std::int64_t>(mtime);
  record.stat.ctime_ns = static_cast<std::int64_t>(ctime);
  record.stat.mode = static_cast<std::uint32_t>(mode);
  record.hashed_at_ns = static_cast<std::int64_t>(hashed);
  return true;
}

}  // namespace

std::int64_t wall_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

const Hash* StatCache::find(const std::string& path, const sys::FileStat& stat) const {
  const CachedHash* known = record(path);
  if (known == nullptr || !known->stat.same_content(stat) || known->stat.ctime_ns != stat.ctime_ns) return nullptr;
  if (std::max(stat.mtime_ns, stat.ctime_ns) + kRacyNs >= known->hashed_at_ns) return nullptr;
  return &known->content;
}

const CachedHash* StatCache::record(const std::string& path) const {
  const auto it = records_.find(path);
  return it == records_.end() ? nullptr : &it->second;
}

void StatCache::put(const std::string& path, const sys::FileStat& stat, const Hash& content,
                    std::int64_t hashed_at_ns) {
  records_[path] = {stat, content, hashed_at_ns};
}

Result<StatCache> StatCache::load(const std::filesystem::path& file) {
  TRY_ASSIGN(const std::string text, sys::read_file(file, 1ULL << 30));
  const auto corrupt = [] { return fail(ErrorKind::kCorrupt, "the stat cache is damaged"); };
  std::string_view in = text;
  if (in.size() < kMagic.size() + 32 || !in.starts_with(kMagic)) return corrupt();
  const std::string_view sum = in.substr(in.size() - 32);
  in.remove_suffix(32);
  if (as_text(hash_of(in).bytes) != sum) return corrupt();
  in.remove_prefix(kMagic.size());
  StatCache cache;
  while (!in.empty()) {
    std::string path;
    CachedHash record;
    if (!take_record(in, path, record)) return corrupt();
    cache.records_.emplace(std::move(path), record);
  }
  return cache;
}

Result<> StatCache::save(const std::filesystem::path& file) const {
  std::string out(kMagic);
  out.reserve(records_.size() * 160 + 64);
  for (const auto& [path, record] : records_) {
    append_number(out, path.size());
    out += path;
    append_number(out, record.stat.dev);
    append_number(out, record.stat.ino);
    append_number(out, record.stat.size);
    append_number(out, static_cast<std::uint64_t>(record.stat.mtime_ns));
    append_number(out, static_cast<std::uint64_t>(record.stat.ctime_ns));
    append_number(out, record.stat.mode);
    append_number(out, static_cast<std::uint64_t>(record.hashed_at_ns));
    out += as_text(record.content.bytes);
  }
  out += as_text(hash_of(out).bytes);
  return sys::write_file(file, out, 0600);
}

}  // namespace locki::mirror
