// locki bench [NAME]
#include <fmt/format.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"
#include "cli/session.h"
#include "sys/file.h"
#include "sys/process.h"
#include "term/table.h"

namespace locki::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

struct Figure {
  std::string name, meaning;
  std::vector<double> seconds;
};

// Each figure is a whole thing that a person waits for. An error ends the bench: half a table would look like a whole one.
class Bench {
 public:
  Bench(Context& context, std::size_t rounds) : context_(context), rounds_(rounds) {}

  Result<> measure(std::string name, std::string meaning, const std::function<Result<>()>& once, std::size_t rounds = 0) {
    Figure figure{std::move(name), std::move(meaning), {}};
    for (std::size_t i = 0; i < (rounds == 0 ? rounds_ : rounds); ++i) {
      const auto begun = Clock::now();
      TRY(context(once(), "while measuring " + figure.name));
      figure.seconds.push_back(seconds_since(begun));
    }
    figures_.push_back(std::move(figure));
    return {};
  }
  void add(Figure figure) { figures_.push_back(std::move(figure)); }
  const std::vector<Figure>& figures() const { return figures_; }
  Context& context_;

 private:
  std::size_t rounds_;
  std::vector<Figure> figures_;
};

// A file appears with that content; polled every two milliseconds, which is the figure's resolution.
Result<> wait_for_content(const std::filesystem::path& path, const std::string& content) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < deadline) {
    auto found = sys::read_file(path, 4096);
    if (found && *found == content) return {};
    std::this_thread::sleep_for(milliseconds(2));
  }
  return fail(ErrorKind::kTimeout, "it did not arrive within a minute: " + printable(path.native()));
}

Result<std::string> run_inside(Context& context, const OpenedSandbox& sandbox, std::vector<std::string> argv) {
  TRY_ASSIGN(auto execution, context.services.execution(sandbox));
  TRY_ASSIGN(sys::Pipe out, sys::make_pipe());
  incus::ExecRequest request{.argv = std::move(argv), .environment = {}, .cwd = sandbox.worktree};
  std::string text;
  std::thread reader([&] { text = sys::read_all(out.read.get(), 1 << 20).value_or(""); });
  auto ended = execution->exec(sandbox.instance, request, {.in = -1, .out = out.write.get(), .err = -1});
  out.write.reset();
  reader.join();
  if (!ended) return fail(std::move(ended).error());
  if (ended->status != 0) return fail(ErrorKind::kFailed, fmt::format("the command inside ended with status {}", ended->status));
  return text;
}

Result<> measure_commands(Bench& bench, const std::string& name) {
  Context& context = bench.context_;
  const auto self = [&](std::vector<std::string> args) -> Result<> {
    sys::ProcessSpec spec{.program = context.installation.program.native(), .args = std::move(args), .environment = context.environment, .directory = context.cwd};
    return sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}).map([](const std::string&) {});
  };
  TRY(bench.measure("version", "locki --version", [&] { return self({"--version"}); }));
  TRY(bench.measure("list", "locki list", [&] { return self({"list"}); }));
  TRY(bench.measure("exec", "locki x NAME -- true, in a running sandbox", [&] { return self({"x", name, "--", "true"}); }));
  const std::string extra = fmt::format("bench-{}", ::getpid());
  TRY(bench.measure("second-sandbox", "locki new NAME, the machine running", [&] { return self({"new", extra}); }, 1));
  return self({"remove", "--force", "--delete-branch", extra});
}

Result<> measure_mirror(Bench& bench, const OpenedSandbox& sandbox) {
  Context& context = bench.context_;
  const std::filesystem::path file = std::filesystem::path(sandbox.worktree) / ".locki-bench";
  int round = 0;
  // The far end's time is part of its own figure: the command inside waits for the file, so one clock measures each way.
  Figure out{"inside-to-host", "a file written inside is on the host (after the command that wrote it)", {}};
  Figure in{"host-to-inside", "a file written on the host, until a command inside that waits for it has ended", {}};
  for (; round < 10; ++round) {
    const std::string text = fmt::format("{} {}\n", ::getpid(), round);
    TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "printf '%s' \"$1\" >.locki-bench", "sh", text}));
    const auto begun = Clock::now();
    TRY(wait_for_content(file, text));
    out.seconds.push_back(seconds_since(begun));
  }
  for (; round < 20; ++round) {
    const std::string text = fmt::format("{} {}\n", ::getpid(), round);
    const auto begun = Clock::now();
    TRY(sys::write_file(file, text));
    TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "while [ \"$(cat .locki-bench)\" != \"$1\" ]; do sleep 0.01; done", "sh", text.substr(0, text.size() - 1)}));
    in.seconds.push_back(seconds_since(begun));
  }
  bench.add(std::move(out));
  bench.add(std::move(in));
  return sys::remove_tree(file);
}

// The same script inside and here. It prints nanoseconds, so that starting it is not counted.
Result<> measure_disk(Bench& bench, const OpenedSandbox& sandbox) {
  constexpr std::string_view kBegin = "set -e; d=$(mktemp -d /var/tmp/locki-bench.XXXXXX); cd $d; ";
  constexpr std::string_view kStart = "; s=$(date +%s%N); ";
  constexpr std::string_view kEnd = "; e=$(date +%s%N); cd /; rm -rf $d; echo $((e - s))";
  const struct {
    const char *name, *meaning, *prepare, *work;
  } jobs[] = {
      {"small-files", "2,000 small files made and synced", "true", "i=0; while [ $i -lt 2000 ]; do echo $i >$i; i=$((i + 1)); done; sync -f ."},
      {"write", "256 MiB written and synced", "true", "dd if=/dev/zero of=big bs=1M count=256 conv=fsync status=none"},
      {"git-status", "git status of 5,000 files", "git init -q .; for i in $(seq 50); do mkdir $i; for j in $(seq 100); do echo $j >$i/$j; done; done; git add -A; git status >/dev/null",
       "git status >/dev/null"},
  };
  for (const auto& job : jobs) {
    const std::string script = fmt::format("{}{}{}{}{}", kBegin, job.prepare, kStart, job.work, kEnd);
    Figure inside{fmt::format("disk:{}", job.name), fmt::format("{}, inside", job.meaning), {}};
    Figure here{fmt::format("host:{}", job.name), fmt::format("{}, on this host", job.meaning), {}};
    for (int i = 0; i < 3; ++i) {
      TRY_ASSIGN(const std::string in, run_inside(bench.context_, sandbox, {"/bin/sh", "-c", script}));
      TRY_ASSIGN(const std::string out, sys::run_ok({.program = "/bin/sh", .args = {"-c", script}, .environment = bench.context_.environment}, {}, {.timeout = std::chrono::minutes(10)}));
      for (const auto& [figure, text] : {std::pair{&inside, &in}, {&here, &out}}) {
        const auto nanoseconds = parse_u64(trim(*text));
        if (!nanoseconds) return fail(ErrorKind::kFailed, "a measuring script said: " + printable(*text, 100));
        figure->seconds.push_back(static_cast<double>(*nanoseconds) / 1e9);
      }
    }
    bench.add(std::move(inside));
    bench.add(std::move(here));
  }
  return {};
}

// Asleep and awake again. Left out, with a word, while others use the machine.
Result<> measure_sleep(Bench& bench, const std::string& name) {
  Context& context = bench.context_;
  Figure suspend{"suspend", "locki vm suspend", {}}, wake{"wake", "locki x NAME -- true, the machine asleep", {}};
  for (int i = 0; i < 5; ++i) {
    auto begun = Clock::now();
    auto asleep = context.call("vm.suspend", {});
    if (!asleep && asleep.error().kind() == ErrorKind::kConflict) return context.note("sleep is not measured: " + asleep.error().describe()), Result<>{};
    if (!asleep) return fail(std::move(asleep).error());
    suspend.seconds.push_back(seconds_since(begun));
    begun = Clock::now();
    const sys::ProcessSpec spec{.program = context.installation.program.native(), .args = {"x", name, "--", "true"}, .environment = context.environment, .directory = context.cwd};
    TRY(sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}));
    wake.seconds.push_back(seconds_since(begun));
    // The mirrors come back in the background.
    std::this_thread::sleep_for(std::chrono::seconds(5));
  }
  bench.add(std::move(suspend));
  bench.add(std::move(wake));
  return {};
}

// What the daemon noted when it happened: the phases of the last cold start.
void add_phases(Bench& bench) {
  auto text = sys::read_file(bench.context_.paths.state / "phases.jsonl", 16 << 20);
  if (!text) return;
  std::map<std::string, Figure> phases;
  for (const auto& line : split_lines(*text)) {
    auto entry = json::parse_object(line);
    if (!entry) continue;
    const std::string id = printable(json::string_or(*entry, "phase"), 60);
    const auto* seconds = entry->if_contains("seconds");
    if (seconds == nullptr || !seconds->is_number()) continue;
    Figure& figure = phases["phase:" + id];
    figure.name = "phase:" + id;
    figure.meaning = printable(json::string_or(*entry, "text"), 80);
    figure.seconds.push_back(seconds->to_number<double>());
  }
  for (auto& [id, figure] : phases) bench.add(std::move(figure));
}

std::string machine_text() {
  utsname names{};
  ::uname(&names);
  return fmt::format("{} processors, Linux {}", std::thread::hardware_concurrency(), names.release);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(auto opened, open_sandbox(context, {.name = name, .agent = "", .create = true, .from = ""}));
  TRY_ASSIGN(const auto machine, context.call("vm.status", {}));
  Bench bench(context, 10);
  TRY(measure_commands(bench, name));
  TRY(measure_mirror(bench, opened.sandbox));
  TRY(measure_disk(bench, opened.sandbox));
  opened.daemon.reset();  // the session that keeps the machine awake
  TRY(measure_sleep(bench, name));
  add_phases(bench);

  const std::string accelerator = printable(json::string_or(machine, "accelerator", "unknown"));
  if (context.globals.json) {
    json::array figures;
    for (const auto& figure : bench.figures()) {
      figures.push_back(json::object{{"name", figure.name}, {"meaning", figure.meaning}, {"n", figure.seconds.size()}, {"median_s", median(figure.seconds)},
                                     {"min_s", *std::min_element(figure.seconds.begin(), figure.seconds.end())},
                                     {"max_s", *std::max_element(figure.seconds.begin(), figure.seconds.end())}});
    }
    context.out_json(json::object{{"machine", machine_text()}, {"accelerator", accelerator}, {"version", LOCKI_VERSION}, {"figures", std::move(figures)}});
    return 0;
  }
  term::Table table({{.title = "FIGURE"}, {.title = "N"}, {.title = "MEDIAN"}, {.title = "MIN"}, {.title = "MAX"}, {.title = "WHAT", .shrinks = true}});
  const auto shown = [](double seconds) { return seconds < 1 ? fmt::format("{:.0f} ms", seconds * 1000) : fmt::format("{:.1f} s", seconds); };
  for (const auto& figure : bench.figures()) {
    table.add({figure.name, std::to_string(figure.seconds.size()), shown(median(figure.seconds)), shown(*std::min_element(figure.seconds.begin(), figure.seconds.end())),
               shown(*std::max_element(figure.seconds.begin(), figure.seconds.end())), figure.meaning});
  }
  context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  context.note(machine_text() + ", " + accelerator);
  return 0;
}

}  // namespace

Command bench_command() {
  return {.name = "bench",
          .group = "Machine",
          .summary = "measure what you wait for, here",
          .description = "Measures commands, the mirror and a further sandbox in the sandbox NAME (made when absent), and shows how long the\n"
                         "phases of earlier starts took. Takes a minute or two.",
          .positionals = {name_positional()},
          .examples = {{"locki bench my-feature", "a table"}, {"locki bench my-feature --json", "the same as data"}},
          .json = true,
          .inside = true,
          .run = run};
}

}  // namespace locki::cli
