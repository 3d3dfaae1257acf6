// What the gate costs, as ratios within one run: throughput both ways (also of a loop that does nothing but splice between two sockets, which is the most that any relay can have), request and answer pairs, and connections through it against the same server
// directly; the memory and descriptors that idle connections hold. `taskset -c 0` shows it for one core. A program for people and for docs; nothing is
// asserted. `locki bench --only gate` shows the same without a build.
#include <fmt/core.h>

#include <algorithm>
#include <csignal>

#include "gate/cost.h"

namespace {

using locki::gate::Ways;

// The better of several runs.
struct Best {
  double direct = 0, gate = 0, bare = 0;
};
Best best(const Ways& ways, bool more_is_better, double unit) {
  const auto of = [&](const std::vector<double>& samples) {
    if (samples.empty()) return 0.0;
    return unit * (more_is_better ? *std::max_element(samples.begin(), samples.end()) : *std::min_element(samples.begin(), samples.end()));
  };
  return {of(ways.direct), of(ways.gate), of(ways.bare)};
}

void print(const locki::gate::GateCost& cost) {
  for (const auto& [way, ways] : {std::pair{"download", &cost.download}, std::pair{"upload", &cost.upload}}) {
    const Best rate = best(*ways, true, 1.0 / (1 << 20));
    fmt::print("{}: direct {:.0f} MiB/s, through the gate {:.0f} MiB/s: {:.0f} %; through a bare splice {:.0f} MiB/s: {:.0f} %\n", way, rate.direct, rate.gate,
               100 * rate.gate / rate.direct, rate.bare, 100 * rate.bare / rate.direct);
  }
  const Best pair = best(cost.round_trip, false, 1e6);
  fmt::print("a request and its answer: direct {:.1f} us, through the gate {:.1f} us, through a bare splice {:.1f} us\n", pair.direct, pair.gate, pair.bare);
  const Best connection = best(cost.connection, false, 1e3);
  fmt::print("a connection: direct {:.3f} ms, through the gate {:.3f} ms: {:.3f} ms added\n", connection.direct, connection.gate, connection.gate - connection.direct);
  fmt::print("{} idle connections: {:.1f} MiB and {} descriptors for the gate\n", cost.idle, cost.idle_bytes / (1 << 20), cost.idle_descriptors);
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  const auto cost = locki::gate::measure_cost({});
  if (!cost) {
    fmt::print(stderr, "{}\n", cost.error().describe());
    return 1;
  }
  print(*cost);
  return 0;
}
