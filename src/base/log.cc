#include "base/log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "base/redact.h"

namespace locki::log {

namespace {
int g_fd = -1;
Level g_least = Level::kInfo;
std::string g_who;
constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
}  // namespace

void open(int fd, Level least, std::string_view who) {
  g_fd = fd;
  g_least = least;
  g_who = who;
}

void write(Level level, std::string_view text) {
  if (g_fd < 0 || level < g_least) return;
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::string line = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {}[{}] {}: ", now, now.time_since_epoch().count() % 1000, g_who, getpid(), kNames[static_cast<int>(level)]);
  for (const char c : redacted(text)) line += c == '\n' ? ' ' : c;
  line += '\n';
  // One write, so that lines of several processes on an O_APPEND file do not mix.
  [[maybe_unused]] const auto written = ::write(g_fd, line.data(), line.size());
}

}  // namespace locki::log
