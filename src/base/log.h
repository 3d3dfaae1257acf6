// The log: one line an event, to a descriptor chosen once at start (the daemon's log file; the CLI with --verbose: stderr).
// Everything that did not come from our own source text must go through printable(). Safe from any thread.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace locki::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Before threads start. fd -1 (the default): nothing is written. `who` names the process in each line.
void open(int fd, Level least, std::string_view who);
void write(Level level, std::string_view text);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) { write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...)); }
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) { write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...)); }
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) { write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...)); }
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) { write(Level::kError, fmt::format(format, std::forward<Args>(args)...)); }

}  // namespace locki::log
