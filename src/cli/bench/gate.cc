// What the egress gate costs on this host, on one processor, without the machine.
#include <fmt/format.h>

#include "cli/bench/bench.h"

namespace locki::cli {
namespace {

std::vector<double> combined(const std::vector<double>& one, const std::vector<double>& other, double (*with)(double, double)) {
  std::vector<double> out;
  for (std::size_t i = 0; i < one.size() && i < other.size(); ++i) out.push_back(with(one[i], other[i]));
  return out;
}
double less(double a, double b) { return a - b; }
double of(double a, double b) { return a / b; }

void add_rate(Bench& bench, const std::string& way, const gate::Ways& ways) {
  bench.add({"gate:" + way, fmt::format("{} through the gate, on one processor", way), ways.gate, Unit::kBytesPerSecond});
  bench.add({"direct:" + way, "the same without it", ways.direct, Unit::kBytesPerSecond});
  bench.add({"splice:" + way, "the same through a loop that only splices, the most that any relay can have", ways.bare, Unit::kBytesPerSecond});
  bench.add({"gate:" + way + "-share", "what the gate leaves of it", combined(ways.gate, ways.direct, of), Unit::kRatio});
  bench.add({"splice:" + way + "-share", "what such a loop leaves of it", combined(ways.bare, ways.direct, of), Unit::kRatio});
}

}  // namespace

Result<> measure_gate(Bench& bench) {
  TRY_ASSIGN(const auto cost, bench.context().services.gate_cost({.bytes = 512ULL << 20, .one_core = true}));
  add_rate(bench, "download", cost.download);
  add_rate(bench, "upload", cost.upload);
  bench.add({"gate:connection", "added to the time of a connection", combined(cost.connection.gate, cost.connection.direct, less)});
  bench.add({"gate:round-trip", "added to a small request and its answer", combined(cost.round_trip.gate, cost.round_trip.direct, less)});
  bench.add({"gate:idle-memory", fmt::format("memory of {} idle connections", cost.idle), {cost.idle_bytes}, Unit::kBytes});
  return {};
}

}  // namespace locki::cli
