#include "cli/process_counters.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::cli {

namespace fs = std::filesystem;

std::uint64_t value_of_line(std::string_view text, std::string_view key) {
  for (const auto& line : split_lines(text)) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
    const auto number = trim(std::string_view(line).substr(key.size() + 1));
    return parse_u64(number.substr(0, number.find(' '))).value_or(0);
  }
  return 0;
}

std::uint64_t wakeups_of(pid_t pid) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (fs::directory_iterator it(fmt::format("/proc/{}/task", pid), error), end; !error && it != end; it.increment(error)) {
    sum += value_of_line(sys::read_file(it->path() / "status", 1 << 16).value_or(""), "voluntary_ctxt_switches");
  }
  return sum;
}

std::uint64_t memory_of(pid_t pid) { return value_of_line(sys::read_file(fmt::format("/proc/{}/smaps_rollup", pid), 1 << 16).value_or(""), "Pss") * 1024; }

std::vector<pid_t> children_of(pid_t pid, std::string_view name) {
  std::vector<pid_t> found;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const auto number = parse_u64(it->path().filename().native());
    if (!number) continue;
    const auto status = sys::read_file(it->path() / "status", 1 << 16).value_or("");
    if (value_of_line(status, "PPid") == static_cast<std::uint64_t>(pid) && status.starts_with(fmt::format("Name:\t{}\n", name))) found.push_back(static_cast<pid_t>(*number));
  }
  return found;
}

}  // namespace locki::cli
