#include "sandbox/idle.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::sandbox {

using std::chrono::milliseconds;

namespace {
// Longer between two looks, and nobody knows what happened in between.
constexpr std::chrono::minutes kGap{5};
}  // namespace

bool IdleWatch::idle(const Activity& activity, milliseconds patience) {
  const auto passed = activity.now - last_.now;
  const auto worked = activity.cpu_time - last_.cpu_time;
  const bool known = std::exchange(begun_, true) && passed <= kGap && worked.count() >= 0;
  const bool busy = !known || activity.sessions > 0 || activity.open_connections > 0 || activity.accepted != last_.accepted ||
                    std::chrono::duration<double>(worked) > std::chrono::duration<double>(passed) * activity.cpu_idle_share;
  if (busy) busy_ = activity.now;
  last_ = activity;
  return activity.now - busy_ >= patience;
}

milliseconds cpu_time(pid_t pid) {
  const auto text = sys::read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!text) return milliseconds(0);
  // Fields 14 and 15 of proc_pid_stat(5); the second, the name, may hold blanks.
  const auto fields = split(std::string_view(*text).substr(text->rfind(')') + 1), ' ');
  if (fields.size() < 14) return milliseconds(0);
  const auto ticks = parse_u64(fields[12]).value_or(0) + parse_u64(fields[13]).value_or(0);
  return milliseconds(ticks * 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

}  // namespace locki::sandbox
