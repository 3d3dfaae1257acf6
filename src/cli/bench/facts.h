// Where figures were measured: this host, and the machine on it. Values; the functions but this_host() are pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace locki::cli {

struct HostFacts {
  std::string processor;  // its model; "" where the kernel does not say
  unsigned processors = 0;
  std::uint64_t memory_bytes = 0;
  std::string kernel;  // "Linux 6.1.0"
};
// The first model of /proc/cpuinfo and MemTotal of /proc/meminfo (proc(5)).
HostFacts host_facts(std::string_view cpuinfo, std::string_view meminfo);
HostFacts this_host();

// `machine` is what `vm.status` answers; empty when nobody was asked. The members that the output of `locki bench --json` has besides its figures.
json::object facts_json(const HostFacts& host, const json::object& machine);
// The same for people, a line.
std::string facts_line(const HostFacts& host, const json::object& machine);

}  // namespace locki::cli
