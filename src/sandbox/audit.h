// The life of every sandbox in one append-only log, STATE/audit.jsonl: made, entered, what came in from it and what was refused, what it was
// allowed, removed. Programs by their name only, never their arguments. Connections have a log of their own (gate/audit.h). Thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "sandbox/record.h"
#include "sys/line_log.h"

namespace locki::sandbox {

// Of a log of JSON lines: the last `limit` that `wanted` takes, the oldest first. What is no JSON object is passed over.
Result<json::array> last_entries(const std::filesystem::path& file, std::size_t limit, const std::function<bool(const json::object&)>& wanted);

class AuditTrail {
 public:
  explicit AuditTrail(std::filesystem::path file) : file_(std::move(file)) {}
  // `event` is ours; the values of `more` may come from anywhere: they are made printable here. Never fails: what cannot be written is
  // said once in the daemon's log.
  void write(std::string_view event, const Record& record, const json::object& more = {});
  // As write(), about all sandboxes.
  void write_for_all(std::string_view event, const json::object& more);
  // The last `limit` that `wanted` takes, the oldest first.
  Result<json::array> last(std::size_t limit, const std::function<bool(const json::object&)>& wanted) const;

 private:
  void append(json::object entry, const json::object& more);

  std::filesystem::path file_;
  mutable std::mutex mutex_;
  std::optional<sys::LineLog> log_;  // opened with the first line
};

}  // namespace locki::sandbox
