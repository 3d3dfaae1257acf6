#include "sandbox/histories.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "git/shallow.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

constexpr int kVersion = 1;
constexpr std::size_t kMaxFile = 64 << 20;  // a boundary may have many commits

Result<StoredHistory> from_json(const json::object& o) {
  StoredHistory history;
  TRY_ASSIGN(history.volume, json::get_string(o, "volume"));
  TRY_ASSIGN(history.git_dir, json::get_string(o, "git_dir"));
  TRY_ASSIGN(history.tip, json::get_string(o, "tip"));
  TRY_ASSIGN(const std::string boundary, json::get_string(o, "boundary"));
  history.boundary = split_lines(boundary);
  TRY_ASSIGN(const std::int64_t max_history, json::get_int(o, "max_history"));
  TRY_ASSIGN(const std::int64_t bytes, json::get_int(o, "bytes"));
  TRY_ASSIGN(history.ready, json::get_bool(o, "ready"));
  const bool ids = git::is_object_id(history.tip) && std::all_of(history.boundary.begin(), history.boundary.end(), git::is_object_id);
  if (!ids || max_history < 0 || bytes < 0) return fail(ErrorKind::kCorrupt, "the list of histories is damaged");
  history.max_history = static_cast<std::uint64_t>(max_history);
  history.bytes = static_cast<std::uint64_t>(bytes);
  return history;
}

Result<std::vector<StoredHistory>> read(const std::filesystem::path& file) {
  std::vector<StoredHistory> histories;
  const auto text = sys::read_file(file, kMaxFile);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return histories;
  if (!text) return fail(text.error());
  TRY_ASSIGN(const json::object o, json::parse_object(*text));
  TRY_ASSIGN(const std::int64_t version, json::get_int(o, "version"));
  if (version != kVersion) return fail(ErrorKind::kCorrupt, "the list of histories is of another version");
  TRY_ASSIGN(const json::array list, json::get_array(o, "histories"));
  for (const auto& item : list) {
    if (!item.is_object()) return fail(ErrorKind::kCorrupt, "the list of histories is damaged");
    TRY_ASSIGN(StoredHistory history, from_json(item.get_object()));
    if (history.ready) histories.push_back(std::move(history));
  }
  return histories;
}

auto named(std::vector<StoredHistory>& histories, const std::string& volume) {
  return std::find_if(histories.begin(), histories.end(), [&](const StoredHistory& history) { return history.volume == volume; });
}

}  // namespace

Histories::Histories(std::filesystem::path file) : file_(std::move(file)) {
  auto histories = read(file_);
  if (histories) histories_ = std::move(*histories);
  else log::warning("{}", histories.error().describe());
}

std::vector<StoredHistory> Histories::all() const {
  const std::scoped_lock lock(mutex_);
  return histories_;
}

Result<> Histories::save(std::vector<StoredHistory> histories) {
  json::array list;
  for (const auto& history : histories) {
    list.push_back(json::object{{"volume", history.volume}, {"git_dir", history.git_dir}, {"tip", history.tip}, {"boundary", git::boundary_text(history.boundary)},
                                {"max_history", history.max_history}, {"bytes", history.bytes}, {"ready", history.ready}});
  }
  TRY(sys::write_file(file_, json::pretty(json::object{{"version", kVersion}, {"histories", std::move(list)}}), 0600));
  histories_ = std::move(histories);
  return {};
}

Result<> Histories::add(StoredHistory history) {
  const std::scoped_lock lock(mutex_);
  auto histories = histories_;
  histories.push_back(std::move(history));
  return save(std::move(histories));
}

Result<> Histories::note_ready(const std::string& volume, std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  auto histories = histories_;
  const auto found = named(histories, volume);
  if (found == histories.end()) return fail(ErrorKind::kNotFound, "no such history");
  found->ready = true;
  found->bytes = bytes;
  return save(std::move(histories));
}

Result<> Histories::remove(const std::string& volume) {
  const std::scoped_lock lock(mutex_);
  auto histories = histories_;
  const auto found = named(histories, volume);
  if (found == histories.end()) return {};
  histories.erase(found);
  return save(std::move(histories));
}

Result<> Histories::clear() {
  const std::scoped_lock lock(mutex_);
  return histories_.empty() ? Result<>{} : save({});
}

std::uint64_t most_difference(std::uint64_t history_bytes, std::uint64_t share_from) { return std::max(share_from, history_bytes / 4); }

std::optional<std::size_t> choose(const std::vector<StoredHistory>& histories, const std::vector<Candidate>& candidates, std::uint64_t share_from) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < histories.size() && i < candidates.size(); ++i) {
    if (!histories[i].ready || !candidates[i].reached) continue;
    if (candidates[i].difference > most_difference(histories[i].bytes, share_from)) continue;
    if (!best || candidates[i].difference < candidates[*best].difference) best = i;
  }
  return best;
}

}  // namespace locki::sandbox
