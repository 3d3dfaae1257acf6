// What it costs that both sides have on disk what they agreed on, and how long it takes from the machine's death until they agree again.
#include <csignal>

#include "cli/bench/bench.h"
#include "cli/bench/inside.h"

namespace locki::cli {
namespace {

Result<> agree(Bench& bench, const OpenedSandbox& sandbox, bool durable) {
  return bench.context().call("sandbox.sync", {{"cwd", sandbox.worktree}, {"name", sandbox.name}, {"durable", durable}}).map([](const json::object&) {});
}

// From the moment when both agree until both disks have it.
Result<double> written_down(Bench& bench, const OpenedSandbox& sandbox, const std::string& script) {
  TRY(run_inside(bench.context(), sandbox, {"/bin/sh", "-c", script}));
  TRY(agree(bench, sandbox, false));
  const auto begun = Clock::now();
  TRY(agree(bench, sandbox, true));
  return seconds_since(begun);
}

}  // namespace

Result<> measure_durability(Bench& bench, const OpenedSandbox& sandbox) {
  TRY(agree(bench, sandbox, true));
  TRY(bench.measure("agree", "both sides agree, with nothing to carry", [&] { return agree(bench, sandbox, false); }));
  TRY(bench.measure_own("durable-one", "one changed file, agreed on, is on both disks", [&] { return written_down(bench, sandbox, "date +%N > locki-bench-durable"); }));
  const struct {
    const char *name, *meaning, *script;
  } large[] = {
      {"durable-1000", "1,000 small files, agreed on, are on both disks", "mkdir -p locki-bench-durable.d; for i in $(seq 1000); do echo $i > locki-bench-durable.d/$i; done"},
      {"durable-64M", "64 MiB, agreed on, are on both disks", "dd if=/dev/urandom of=locki-bench-durable bs=1M count=64 status=none"},
      {"durable-20000", "20,000 small files, agreed on, are on both disks", "for d in $(seq 20); do mkdir -p locki-bench-durable.d/$d; for i in $(seq 1000); do echo $i > locki-bench-durable.d/$d/$i; done; done"},
  };
  for (const auto& job : large) {
    Figure figure{job.name, job.meaning, {}};
    TRY_ASSIGN(const double seconds, written_down(bench, sandbox, job.script));
    figure.samples.push_back(seconds);
    bench.add(std::move(figure));
    TRY(run_inside(bench.context(), sandbox, {"/bin/sh", "-c", "rm -rf locki-bench-durable locki-bench-durable.d"}));
    TRY(agree(bench, sandbox, true));
  }
  return {};
}

// The machine dies for this: only when it is asked for by name, and while nobody else uses it.
Result<> measure_crash(Bench& bench, const OpenedSandbox& sandbox) {
  constexpr int kRounds = 3;
  Context& context = bench.context();
  Figure again{"crash-to-command", "the machine killed, until a command inside has ended", {}}, agreed{"crash-to-agreed", "the machine killed, until both sides agree", {}};
  for (int i = 0; i < kRounds; ++i) {
    TRY(run_locki(context, {"x", sandbox.name, "--", "/bin/sh", "-c", "date +%N > locki-bench-crash"}));
    TRY(agree(bench, sandbox, false));
    TRY_ASSIGN(const auto list, context.call("sandbox.list", {{"cwd", sandbox.worktree}, {"all", true}}));
    TRY_ASSIGN(const auto sandboxes, json::get_array(list, "sandboxes"));
    for (const auto& one : sandboxes) {
      if (one.is_object() && json::int_or(one.get_object(), "sessions") > 0)
        return fail(ErrorKind::kConflict, "the machine is not killed while a sandbox is in use: " + json::string_or(one.get_object(), "name"));
    }
    const auto pid = static_cast<pid_t>(vm_number(context, "pid"));
    if (pid <= 0) return fail(ErrorKind::kUnavailable, "the machine does not run");
    const auto begun = Clock::now();
    if (::kill(pid, SIGKILL) != 0) return fail_errno(errno, "cannot kill the machine");
    TRY(run_locki(context, {"x", sandbox.name, "--", "true"}));
    again.samples.push_back(seconds_since(begun));
    TRY(agree(bench, sandbox, false));
    agreed.samples.push_back(seconds_since(begun));
  }
  TRY(run_locki(context, {"x", sandbox.name, "--", "rm", "locki-bench-crash"}));
  bench.add(std::move(again));
  bench.add(std::move(agreed));
  return {};
}

}  // namespace locki::cli
