// What runs while nobody does anything, and what it holds. Waits until the machine has become quiet.
#include <thread>

#include "cli/bench/bench.h"
#include "cli/process_counters.h"

namespace locki::cli {

Result<> measure_idle(Bench& bench) {
  constexpr int kMinutes = 3;
  Context& context = bench.context();
  TRY_ASSIGN(const auto pong, context.call("ping", {}));
  const auto daemon = static_cast<pid_t>(json::int_or(pong, "pid"));
  const auto machine = static_cast<pid_t>(vm_number(context, "pid"));
  const auto workers = children_of(daemon, "mirror");
  if (machine <= 0 || workers.empty()) return context.note("idling is not measured: nothing is up"), Result<>{};
  Figure by_daemon{"idle:daemon", "wake-ups of the daemon, nobody doing anything", {}, Unit::kPerMinute};
  Figure by_machine{"idle:vm", "wake-ups of QEMU", {}, Unit::kPerMinute};
  Figure by_mirror{"idle:mirror", "wake-ups of one mirror's worker", {}, Unit::kPerMinute};
  std::this_thread::sleep_for(std::chrono::seconds(20));
  for (int i = 0; i < kMinutes; ++i) {
    const auto d = wakeups_of(daemon), m = wakeups_of(machine), w = wakeups_of(workers.front());
    std::this_thread::sleep_for(std::chrono::minutes(1));
    by_daemon.samples.push_back(static_cast<double>(wakeups_of(daemon) - d));
    by_machine.samples.push_back(static_cast<double>(wakeups_of(machine) - m));
    by_mirror.samples.push_back(static_cast<double>(wakeups_of(workers.front()) - w));
  }
  bench.add(std::move(by_daemon));
  bench.add(std::move(by_machine));
  bench.add(std::move(by_mirror));
  Figure mirrors{"memory:mirror", "memory of a mirror's worker", {}, Unit::kBytes};
  for (const auto worker : workers) mirrors.samples.push_back(static_cast<double>(memory_of(worker)));
  bench.add({"memory:daemon", "memory of the daemon", {static_cast<double>(memory_of(daemon))}, Unit::kBytes});
  bench.add({"memory:vm", "memory of QEMU on the host", {static_cast<double>(memory_of(machine))}, Unit::kBytes});
  bench.add(std::move(mirrors));
  return {};
}

}  // namespace locki::cli
