#include "sys/line_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <iterator>

#include "base/log.h"
#include "base/redact.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::sys {

namespace {

std::filesystem::path numbered(const std::filesystem::path& path, int number) { return path.string() + "." + std::to_string(number); }

}  // namespace

Result<LineLog> LineLog::open(std::filesystem::path path, std::uint64_t max_bytes, int keep) {
  LineLog log(std::move(path), max_bytes, keep);
  TRY(context(log.reopen(), "while opening " + printable(log.path_.native())));
  return log;
}

void LineLog::write(std::string_view line) {
  std::string text = redacted(line);
  text += '\n';
  Result<> done;
  if (size_ > 0 && size_ + text.size() > max_bytes_) done = rotate();
  if (done) done = write_all(fd_.get(), text);
  if (done) size_ += text.size();
  if (!done && !complained_) log::error("{} cannot be written: {}", printable(path_.native()), done.error().describe());
  complained_ = !done;
}

Result<> LineLog::reopen() {
  TRY_ASSIGN(fd_, open_file(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return fail_errno(errno, "cannot look at the log");
  size_ = static_cast<std::uint64_t>(info.st_size);
  return {};
}

Result<> LineLog::rotate() {
  for (int number = keep_; number >= 1; --number) {
    const auto from = number == 1 ? path_ : numbered(path_, number - 1);
    auto moved = rename_file(from, numbered(path_, number));
    if (!moved && moved.error().kind() != ErrorKind::kNotFound) return moved;
  }
  return reopen();
}

Result<std::vector<std::string>> last_lines(const std::filesystem::path& path, std::size_t limit) {
  std::vector<std::string> lines;
  for (const auto& file : {path, numbered(path, 1)}) {
    if (lines.size() >= limit) break;
    auto text = read_file(file, 64 << 20);
    if (!text && text.error().kind() == ErrorKind::kNotFound) break;
    if (!text) return fail(std::move(text).error());
    auto older = split_lines(*text);
    older.insert(older.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
    lines = std::move(older);
  }
  if (lines.size() > limit) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(limit));
  return lines;
}

std::string log_timestamp(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<time_t>(since / 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                     parts.tm_sec, since % 1000);
}

}  // namespace locki::sys
