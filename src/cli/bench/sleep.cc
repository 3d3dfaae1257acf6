// Asleep and awake again, and what is left meanwhile: the memory image and the daemon. Left out, with a word, while others use the machine.
#include <thread>

#include "cli/bench/bench.h"
#include "cli/process_counters.h"

namespace locki::cli {

Result<> measure_sleep(Bench& bench, const std::string& name, std::chrono::milliseconds between) {
  constexpr int kRounds = 5;
  Context& context = bench.context();
  Figure suspend{"suspend", "locki vm suspend", {}}, wake{"wake", "locki x NAME -- true, the machine asleep", {}};
  Figure image{"memory-image", "disk of the host that the sleeping machine's memory takes", {}, Unit::kBytes};
  Figure daemon{"daemon-asleep", "memory of the daemon while the machine is asleep: all that is left running", {}, Unit::kBytes};
  for (int i = 0; i < kRounds; ++i) {
    auto begun = Clock::now();
    auto asleep = context.call("vm.suspend", {});
    if (!asleep && asleep.error().kind() == ErrorKind::kConflict) return context.note("sleep is not measured: " + asleep.error().describe()), Result<>{};
    if (!asleep) return fail(std::move(asleep).error());
    suspend.samples.push_back(seconds_since(begun));
    // A daemon that ended meanwhile is another one now.
    TRY_ASSIGN(const auto pong, context.call("ping", {}));
    image.samples.push_back(static_cast<double>(vm_number(context, "suspended_bytes")));
    daemon.samples.push_back(static_cast<double>(memory_of(static_cast<pid_t>(json::int_or(pong, "pid")))));
    begun = Clock::now();
    TRY(run_locki(context, {"x", name, "--", "true"}));
    wake.samples.push_back(seconds_since(begun));
    std::this_thread::sleep_for(between);
  }
  bench.add(std::move(suspend));
  bench.add(std::move(wake));
  bench.add(std::move(image));
  bench.add(std::move(daemon));
  return {};
}

}  // namespace locki::cli
