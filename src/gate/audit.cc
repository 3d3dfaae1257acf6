#include "gate/audit.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>

#include "base/json.h"
#include "base/log.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::gate {
namespace {

// RFC 3339 in UTC with milliseconds.
std::string timestamp(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<time_t>(since / 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, since % 1000);
}

std::filesystem::path numbered(const std::filesystem::path& path, int number) {
  return path.string() + "." + std::to_string(number);
}

}  // namespace

std::string_view to_string(AuditRecord::Event event) {
  switch (event) {
    case AuditRecord::Event::kRefused:
      return "refused";
    case AuditRecord::Event::kFailed:
      return "failed";
    case AuditRecord::Event::kOpened:
      return "opened";
    case AuditRecord::Event::kClosed:
      return "closed";
  }
  return "?";
}

std::string to_json_line(const AuditRecord& record) {
  json::object o;
  o["time"] = timestamp(record.time);
  o["event"] = std::string(to_string(record.event));
  o["connection"] = record.connection;
  o["origin"] = printable(record.origin, 100);
  o["host"] = printable(record.host, 260);
  o["port"] = record.port;
  if (!record.address.empty()) o["address"] = printable(record.address, 100);
  o["rule"] = printable(record.rule, 300);
  if (!record.reason.empty()) o["reason"] = printable(record.reason, 400);
  o["bytes_out"] = record.bytes_out;
  o["bytes_in"] = record.bytes_in;
  o["ms"] = record.duration.count();
  return json::serialize(o) + "\n";
}

Result<AuditLog> AuditLog::open(std::filesystem::path path, std::uint64_t max_bytes, int keep) {
  AuditLog log(std::move(path), max_bytes, keep);
  TRY(context(log.reopen(), "while opening the network log"));
  return log;
}

void AuditLog::write(const AuditRecord& record) {
  const std::string line = to_json_line(record);
  Result<> done;
  if (size_ > 0 && size_ + line.size() > max_bytes_) done = rotate();
  if (done) done = sys::write_all(fd_.get(), line);
  if (done) size_ += line.size();
  if (!done && !complained_) log::error("gate: the network log cannot be written: {}", done.error().describe());
  complained_ = !done;
}

Result<> AuditLog::reopen() {
  TRY_ASSIGN(fd_, sys::open_file(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return fail_errno(errno, "cannot look at the network log");
  size_ = static_cast<std::uint64_t>(info.st_size);
  return {};
}

Result<> AuditLog::rotate() {
  for (int number = keep_; number >= 1; --number) {
    const auto from = number == 1 ? path_ : numbered(path_, number - 1);
    auto moved = sys::rename_file(from, numbered(path_, number));
    if (!moved && moved.error().kind() != ErrorKind::kNotFound) return moved;
  }
  return reopen();
}

}  // namespace locki::gate
