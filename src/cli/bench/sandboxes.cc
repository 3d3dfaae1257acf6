// Further sandboxes: how long until one can be used, from a spare container and made anew, and what each costs while nothing runs in it.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "cli/bench/inside.h"
#include "sandbox/pool.h"

namespace locki::cli {
namespace {

using std::chrono::milliseconds;

struct MachineNow {
  std::int64_t spares = 0, wanted = 0;
  std::uint64_t disk = 0;  // bytes of the host's
};

Result<MachineNow> machine_now(Context& context) {
  TRY_ASSIGN(const auto status, context.call("vm.status", {}));
  return MachineNow{.spares = json::int_or(status, "spares"), .wanted = json::int_or(status, "spares_wanted"), .disk = static_cast<std::uint64_t>(json::int_or(status, "disk_used_bytes"))};
}

class Further {
 public:
  Further(Bench& bench, const OpenedSandbox& sandbox, milliseconds patience) : bench_(bench), context_(bench.context()), sandbox_(sandbox), patience_(patience) {}
  ~Further() {
    bench_.add(std::move(warm_));
    bench_.add(std::move(cold_));
    bench_.add(std::move(memory_));
    bench_.add(std::move(disk_));
  }

  Result<> round();

 private:
  enum class Kind { kWarm, kCold, kNeither };
  struct Made {
    std::unique_ptr<ThrowAway> sandbox;
    OpenedSandbox opened;
  };

  Result<> wait_for_spare(const MachineNow& now);
  Result<Kind> make_one(std::vector<Made>& made);
  Result<> note_disk(const Made& made);
  Result<> note_memory(const Made& made);

  Bench& bench_;
  Context& context_;
  const OpenedSandbox& sandbox_;  // of the bench
  milliseconds patience_;
  bool no_spares_ = false;  // and that was told
  int count_ = 0;
  std::uint64_t disk_before_ = 0;  // the newest one was made
  Figure warm_{"sandbox:pool", "locki new NAME until a `true` inside has ended, a spare container being ready", {}};
  Figure cold_{"sandbox:new", "the same without a spare container", {}};
  Figure memory_{"sandbox-memory", "memory that a further sandbox takes in the VM (its control group)", {}, Unit::kBytes};
  Figure disk_{"sandbox-disk", "disk of the host that a further sandbox takes (made anew)", {}, Unit::kBytes};
};

Result<> Further::wait_for_spare(const MachineNow& now) {
  if (no_spares_ || now.spares > 0) return {};
  if (now.wanted == 0) {
    no_spares_ = true;
    context_.note("  sandbox:pool is not measured: [sandbox] pool is 0");
    return {};
  }
  context_.note("  waiting for a spare container");
  for (const auto begun = Clock::now(); Clock::now() - begun < patience_; std::this_thread::sleep_for(std::min<milliseconds>(patience_, std::chrono::seconds(2)))) {
    TRY_ASSIGN(const auto then, machine_now(context_));
    if (then.spares > 0) return {};
  }
  no_spares_ = true;
  context_.note("  none was made in time: sandbox:pool is not measured any more");
  return {};
}

// Whether its container was a spare is known by the container's name; one that took a spare over which was not ready when it began has waited for it.
Result<Further::Kind> Further::make_one(std::vector<Made>& made) {
  // What earlier ones have not written yet would count as this one's disk.
  TRY(run_inside(context_, sandbox_, {"/bin/sh", "-c", "sync"}));
  TRY_ASSIGN(const auto now, machine_now(context_));
  disk_before_ = now.disk;
  auto own = std::make_unique<ThrowAway>(context_, std::to_string(count_++));
  ThrowAway& one = *own;
  made.push_back({std::move(own), {}});
  const auto begun = Clock::now();
  TRY_ASSIGN(const auto reply, one.make());
  TRY_ASSIGN(made.back().opened, one.open());
  TRY(run_inside(context_, made.back().opened, {"/bin/true"}));
  const double took = seconds_since(begun);
  const bool from_spare = json::string_or(reply, "instance").starts_with(sandbox::kSpareInstance);
  if (from_spare && now.spares == 0) {
    context_.note(fmt::format("  {} waited for a spare container that was being made: not counted", one.name()));
    return Kind::kNeither;
  }
  if (!from_spare && now.spares > 0) context_.note(fmt::format("  {} could not use the spare container that was ready", one.name()));
  (from_spare ? warm_ : cold_).samples.push_back(took);
  return from_spare ? Kind::kWarm : Kind::kCold;
}

Result<> Further::note_memory(const Made& made) {
  // What the kernel would give back at once (file pages) is not counted: anonymous and kernel memory stay.
  TRY_ASSIGN(const std::string text,
             run_inside(context_, made.opened, {"/bin/sh", "-c", "sync; sleep 2; awk '/^(anon|kernel|shmem) /{s+=$2} END{print s}' /sys/fs/cgroup/memory.stat"}));
  memory_.samples.push_back(static_cast<double>(parse_u64(trim(text)).value_or(0)));
  return {};
}

Result<> Further::note_disk(const Made& made) {
  TRY(note_memory(made));  // it writes back first
  TRY_ASSIGN(const auto now, machine_now(context_));
  disk_.samples.push_back(static_cast<double>(now.disk) - static_cast<double>(disk_before_));
  return {};
}

// One after the other until the spares are used up and one is made anew: a spare is made 8 s after the last sandbox was opened at the earliest.
Result<> Further::round() {
  TRY_ASSIGN(const auto now, machine_now(context_));
  TRY(wait_for_spare(now));
  std::vector<Made> made;
  Kind last = Kind::kNeither;
  while (last != Kind::kCold && made.size() < static_cast<std::size_t>(std::clamp<std::int64_t>(now.wanted, 0, 6)) + 2) {
    TRY_ASSIGN(last, make_one(made));
  }
  if (last == Kind::kCold) TRY(note_disk(made.back()));
  else TRY(note_memory(made.back()));
  for (std::size_t i = 0; i + 1 < made.size(); ++i) TRY(note_memory(made[i]));
  for (auto& one : made) TRY(one.sandbox->remove());
  return {};
}

}  // namespace

Result<> measure_sandboxes(Bench& bench, const OpenedSandbox& sandbox, milliseconds patience) {
  constexpr int kRounds = 3;
  Further further(bench, sandbox, patience);
  for (int i = 0; i < kRounds; ++i) TRY(further.round());
  return {};
}

}  // namespace locki::cli
