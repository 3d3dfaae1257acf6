#include "sandbox/audit.h"

#include "base/log.h"
#include "base/strings.h"

namespace locki::sandbox {

namespace {
constexpr std::size_t kMaxLines = 200'000;  // some 40 MB: what two files of the log can hold
}  // namespace

void AuditTrail::write(std::string_view event, const Record& record, const json::object& more) {
  append({{"event", event}, {"sandbox", record.name}, {"sandbox_id", record.id}, {"repo", printable(record.git_dir, 4000)}}, more);
}

void AuditTrail::write_for_all(std::string_view event, const json::object& more) { append({{"event", event}}, more); }

void AuditTrail::append(json::object entry, const json::object& more) {
  json::object line{{"time", sys::log_timestamp(std::chrono::system_clock::now())}};
  for (auto& [key, value] : entry) line[key] = std::move(value);
  for (const auto& [key, value] : more) {
    if (value.is_string()) line[key] = printable(std::string_view(value.get_string()), 400);
    else line[key] = value;
  }
  const std::scoped_lock guard(mutex_);
  if (!log_) {
    auto opened = sys::LineLog::open(file_);
    if (!opened) return log::error("the audit log: {}", opened.error().describe());
    log_ = std::move(*opened);
  }
  log_->write(json::serialize(line));
}

Result<json::array> AuditTrail::last(std::size_t limit, const std::function<bool(const json::object&)>& wanted) const {
  return last_entries(file_, limit, wanted);
}

Result<json::array> last_entries(const std::filesystem::path& file, std::size_t limit, const std::function<bool(const json::object&)>& wanted) {
  TRY_ASSIGN(const auto lines, sys::last_lines(file, kMaxLines));
  json::array newest_first;
  for (auto line = lines.rbegin(); line != lines.rend() && newest_first.size() < limit; ++line) {
    auto entry = json::parse_object(*line);
    if (entry && wanted(*entry)) newest_first.push_back(std::move(*entry));
  }
  return json::array(newest_first.rbegin(), newest_first.rend());
}

}  // namespace locki::sandbox
