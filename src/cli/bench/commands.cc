// Whole commands, and what of them is incusd's.
#include "cli/bench/bench.h"
#include "cli/session.h"

namespace locki::cli {

Result<> measure_commands(Bench& bench, const OpenedSandbox& sandbox) {
  Context& context = bench.context();
  TRY(bench.measure("version", "locki --version", [&] { return run_locki(context, {"--version"}); }));
  TRY(bench.measure("list", "locki list", [&] { return run_locki(context, {"list"}); }));
  TRY(bench.measure("exec", "locki x NAME -- true, in a running sandbox", [&] { return run_locki(context, {"x", sandbox.name, "--", "true"}); }));
  // What `locki x` asks, on connections that are as new as its own.
  const auto request = exec_request(context, sandbox, {.argv = {"/bin/true"}, .directory = sandbox.worktree}, false);
  return bench.measure_own("exec:incusd", "of it, incusd's exec alone, over its API: the rest is locki's own time", [&]() -> Result<double> {
    TRY_ASSIGN(const auto execution, context.services.execution(sandbox));
    const auto begun = Clock::now();
    TRY_ASSIGN(const auto ended, execution->exec(sandbox.instance, request, {}));
    const double took = seconds_since(begun);
    if (ended.status != 0) return fail(ErrorKind::kFailed, "/bin/true failed inside");
    return took;
  });
}

}  // namespace locki::cli
