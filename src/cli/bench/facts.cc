#include "cli/bench/facts.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <thread>

#include "base/strings.h"
#include "cli/process_counters.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

std::string host_line(const HostFacts& host) { return fmt::format("{} processors, {}", host.processors, host.kernel); }

std::uint64_t memory_of_machine(const json::object& machine) {
  const auto mebibytes = json::int_or(machine, "memory_mib");
  return mebibytes > 0 ? static_cast<std::uint64_t>(mebibytes) << 20 : 0;
}

}  // namespace

HostFacts host_facts(std::string_view cpuinfo, std::string_view meminfo) {
  HostFacts host;
  for (const auto& line : split_lines(cpuinfo)) {
    const auto colon = line.find(':');
    if (colon == line.npos || trim(std::string_view(line).substr(0, colon)) != "model name") continue;
    host.processor = printable(trim(std::string_view(line).substr(colon + 1)), 100);
    break;
  }
  host.memory_bytes = value_of_line(meminfo, "MemTotal") * 1024;
  return host;
}

HostFacts this_host() {
  HostFacts host = host_facts(sys::read_file("/proc/cpuinfo", 16 << 20).value_or(""), sys::read_file("/proc/meminfo", 1 << 16).value_or(""));
  host.processors = std::thread::hardware_concurrency();
  utsname names{};
  ::uname(&names);
  host.kernel = fmt::format("Linux {}", names.release);
  return host;
}

json::object facts_json(const HostFacts& host, const json::object& machine) {
  json::object facts{{"machine", host_line(host)},
                     {"processor", host.processor},
                     {"processors", host.processors},
                     {"memory_bytes", host.memory_bytes},
                     {"accelerator", printable(json::string_or(machine, "accelerator", "unknown"))}};
  if (machine.empty()) return facts;
  facts["vm_processors"] = json::int_or(machine, "cpus");
  facts["vm_memory_bytes"] = memory_of_machine(machine);
  return facts;
}

std::string facts_line(const HostFacts& host, const json::object& machine) {
  std::string line = host_line(host);
  if (!host.processor.empty()) line += ", " + host.processor;
  if (host.memory_bytes > 0) line += ", " + human_bytes(host.memory_bytes) + " of memory";
  if (machine.empty()) return line;
  line += fmt::format("; the virtual machine: {}", printable(json::string_or(machine, "accelerator", "unknown")));
  if (const auto cpus = json::int_or(machine, "cpus"); cpus > 0) line += fmt::format(", {} processors", cpus);
  if (const auto memory = memory_of_machine(machine); memory > 0) line += ", " + human_bytes(memory) + " of memory";
  return line;
}

}  // namespace locki::cli
