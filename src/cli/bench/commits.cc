// Commits through the mirror, each way, in a sandbox of the bench's own: the user's branch gets none.
#include <fmt/format.h>

#include <thread>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "cli/bench/inside.h"
#include "git/filters.h"
#include "git/repository.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

constexpr int kRounds = 10;
constexpr std::chrono::seconds kPatience{60};
constexpr const char* kFile = "locki-bench.txt";
constexpr const char* kName = "user.name=locki bench";
constexpr const char* kEmail = "user.email=bench@localhost";

// Each has a change, as commits have. It prints the commit.
constexpr const char* kCommitInside =
    "set -e; echo \"$1\" >\"$2\"; git add -f -- \"$2\"; "
    "git -c \"$3\" -c \"$4\" -c commit.gpgsign=false -c core.hooksPath=/dev/null -c gc.auto=0 commit -q --no-verify -m \"$1\"; git rev-parse HEAD";

// Prints the branch's tip, and again whenever it moves. Reading the loose ref starts no program, which under emulation would take longer than the commit;
// a ref that was packed is loose again once it has moved. It ends by itself after some minutes, should nobody end it.
constexpr const char* kWatchInside =
    "set -e; file=$(git rev-parse --git-path \"$(git symbolic-ref HEAD)\"); last=$(git rev-parse HEAD); echo \"$last\"; n=0; "
    "while [ $n -lt 20000 ]; do n=$((n + 1)); tip=$last; { read -r tip <\"$file\"; } 2>/dev/null || tip=$last; "
    "if [ \"$tip\" != \"$last\" ]; then echo \"$tip\"; last=$tip; fi; sleep 0.01; done";

Result<> wait_for_tip(const git::Repository& repository, const std::string& ref, const std::string& tip) {
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    TRY_ASSIGN(const auto now, repository.ref(ref));
    if (now && *now == tip) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return fail(ErrorKind::kTimeout, "a commit made inside did not arrive within a minute");
}

Result<> measure_out(Bench& bench, const OpenedSandbox& sandbox, const git::Repository& repository) {
  Figure out{"commit-out", "a commit made inside is on the host's branch (after the command that made it)", {}};
  for (int round = 0; round < kRounds; ++round) {
    TRY_ASSIGN(const std::string said, run_inside(bench.context(), sandbox, {"/bin/sh", "-c", kCommitInside, "sh", fmt::format("out {}", round), kFile, kName, kEmail}));
    const auto begun = Clock::now();
    const std::string tip(trim(said));
    if (!git::is_object_id(tip)) return fail(ErrorKind::kFailed, "git says inside: " + printable(said, 100));
    TRY(wait_for_tip(repository, "refs/heads/" + sandbox.name, tip));
    out.samples.push_back(seconds_since(begun));
  }
  bench.add(std::move(out));
  return {};
}

// Nothing that a repository's configuration or attributes name is run: they may be the sandbox's.
Result<> git_here(const git::Repository& repository, std::vector<std::string> args) {
  auto spec = repository.command(std::move(args));
  TRY(git::disable_filters(repository, spec));
  return sys::run_ok(spec).map([](const std::string&) {});
}

Result<> measure_in(Bench& bench, const OpenedSandbox& sandbox, const git::Repository& repository) {
  Figure in{"commit-in", "a commit made on the host, until a command inside that watches the branch has said so", {}};
  TRY_ASSIGN(const auto watching, RunningInside::start(bench.context(), sandbox, {"/bin/sh", "-c", kWatchInside}));
  TRY(watching->line(kPatience));
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = fmt::format("in {}", round);
    TRY(sys::write_file(repository.toplevel() / kFile, text + "\n"));
    TRY(git_here(repository, {"add", "-f", "--", kFile}));
    TRY(git_here(repository, {"-c", kName, "-c", kEmail, "commit", "-q", "--no-verify", "-m", text}));
    const auto begun = Clock::now();
    TRY_ASSIGN(const git::ObjectId tip, repository.resolve("HEAD"));
    for (std::string said; said != tip;) {
      TRY_ASSIGN(said, watching->line(kPatience));
    }
    in.samples.push_back(seconds_since(begun));
  }
  bench.add(std::move(in));
  return {};
}

}  // namespace

Result<> measure_commits(Bench& bench) {
  Context& context = bench.context();
  ThrowAway own(context, "commits");
  TRY(own.make());
  TRY_ASSIGN(const OpenedSandbox sandbox, own.open());
  TRY_ASSIGN(const auto program, git::find_git(context.paths.home.native()));
  TRY_ASSIGN(const auto repository, git::Repository::discover(program, sandbox.worktree));
  // A new sandbox's mirror may still be starting, and the index here follows a commit that has come.
  const auto agree = [&] { return context.call("sandbox.sync", {{"cwd", context.cwd}, {"name", own.name()}}); };
  TRY(agree());
  TRY(measure_out(bench, sandbox, repository));
  TRY(agree());
  TRY(measure_in(bench, sandbox, repository));
  return own.remove();
}

}  // namespace locki::cli
