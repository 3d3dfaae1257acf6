// What the kernel counts of a process, for `locki bench`. Linux; 0 for a process that is gone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace locki::cli {

// How often its threads went to sleep by themselves, and so were woken: voluntary_ctxt_switches of proc_pid_status(5).
std::uint64_t wakeups_of(pid_t pid);
// Its share of memory: Pss of /proc/PID/smaps_rollup, in bytes.
std::uint64_t memory_of(pid_t pid);
std::vector<pid_t> children_of(pid_t pid, std::string_view name);

// The number behind "KEY:" at the beginning of a line; 0 when there is none.
std::uint64_t value_of_line(std::string_view text, std::string_view key);

}  // namespace locki::cli
