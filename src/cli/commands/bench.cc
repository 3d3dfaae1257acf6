// locki bench [NAME]
#include <fmt/format.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/strings.h"
#include "cli/bench_figures.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"
#include "cli/process_counters.h"
#include "cli/session.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

// Each figure is a whole thing that a person waits for. An error ends the bench: half a table would look like a whole one.
class Bench {
 public:
  Bench(Context& context, std::size_t rounds) : context_(context), rounds_(rounds) {}

  Result<> measure(std::string name, std::string meaning, const std::function<Result<>()>& once, std::size_t rounds = 0) {
    Figure figure{std::move(name), std::move(meaning), {}};
    for (std::size_t i = 0; i < (rounds == 0 ? rounds_ : rounds); ++i) {
      const auto begun = Clock::now();
      TRY(context(once(), "while measuring " + figure.name));
      figure.samples.push_back(seconds_since(begun));
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

std::uint64_t vm_number(Context& context, std::string_view key) {
  const auto status = context.call("vm.status", {});
  return status ? static_cast<std::uint64_t>(json::int_or(*status, key)) : 0;
}

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
  return {};
}

// From the key that is pressed until its echo comes back, through a terminal inside: what a person feels while typing.
Result<> measure_echo(Bench& bench, const OpenedSandbox& sandbox) {
  constexpr int kKeys = 50;
  TRY_ASSIGN(auto execution, bench.context_.services.execution(sandbox));
  TRY_ASSIGN(sys::Pipe in, sys::make_pipe());
  TRY_ASSIGN(sys::Pipe out, sys::make_pipe());
  const incus::ExecRequest request{.argv = {"/bin/cat"}, .environment = {}, .cwd = "/", .interactive = true, .width = 80, .height = 24};
  std::thread session([&] {
    (void)execution->exec(sandbox.instance, request, {.in = in.read.get(), .out = out.write.get(), .err = -1});
    out.write.reset();
  });
  Figure figure{"echo", "a key pressed, until its echo from a terminal inside is here", {}};
  const auto press = [&]() -> Result<> {
    std::uint8_t echo = 0;
    TRY(sys::write_all(in.write.get(), "k"));
    TRY_ASSIGN(const bool came, sys::wait_readable(out.read.get(), std::chrono::seconds(60)));
    if (!came) return fail(ErrorKind::kTimeout, "no echo came");
    return sys::read_exact(out.read.get(), &echo, 1);
  };
  Result<> pressed;
  for (int i = -1; i < kKeys && pressed; ++i) {  // the first waits for the start
    const auto begun = Clock::now();
    pressed = press();
    if (i >= 0) figure.samples.push_back(seconds_since(begun));
    std::this_thread::sleep_for(milliseconds(20));
  }
  execution->cancel();
  in.write.reset();
  session.join();
  TRY(pressed);
  bench.add(std::move(figure));
  return {};
}

// Further sandboxes, with what each costs while nothing runs in it.
Result<> measure_further(Bench& bench) {
  constexpr int kSandboxes = 3;
  Context& context = bench.context_;
  Figure time{"second-sandbox", "locki new NAME, the machine running", {}};
  Figure memory{"sandbox-memory", "memory that a further sandbox takes in the VM (its control group)", {}, Unit::kBytes};
  Figure disk{"sandbox-disk", "disk of the host that a further sandbox takes", {}, Unit::kBytes};
  std::vector<std::string> names;
  for (int i = 0; i < kSandboxes; ++i) {
    names.push_back(fmt::format("bench-{}-{}", ::getpid(), i));
    const auto before = vm_number(context, "disk_used_bytes");
    const auto begun = Clock::now();
    TRY(context.call("sandbox.new", {{"cwd", context.cwd}, {"name", names.back()}}));
    time.samples.push_back(seconds_since(begun));
    TRY_ASSIGN(const auto opened, open_sandbox(context, {.name = names.back(), .agent = "", .create = false, .from = ""}));
    // What the kernel would give back at once (file pages) is not counted: anonymous and kernel memory stay.
    TRY_ASSIGN(const std::string text, run_inside(context, opened.sandbox, {"/bin/sh", "-c",
        "sync; sleep 2; awk '/^(anon|kernel|shmem) /{s+=$2} END{print s}' /sys/fs/cgroup/memory.stat"}));
    memory.samples.push_back(static_cast<double>(parse_u64(trim(text)).value_or(0)));
    disk.samples.push_back(static_cast<double>(vm_number(context, "disk_used_bytes")) - static_cast<double>(before));
  }
  for (const auto& name : names) TRY(context.call("sandbox.remove", {{"cwd", context.cwd}, {"name", name}, {"force", true}, {"delete_branch", true}}));
  bench.add(std::move(time));
  bench.add(std::move(memory));
  bench.add(std::move(disk));
  return {};
}

Result<> measure_mirror(Bench& bench, const OpenedSandbox& sandbox) {
  Context& context = bench.context_;
  const std::filesystem::path file = std::filesystem::path(sandbox.worktree) / ".locki-bench";
  int round = 0;
  // The far end's time is part of its own figure: the command inside waits for the file, so one clock measures each way.
  Figure out{"inside-to-host", "a file written inside is on the host (after the command that wrote it)", {}};
  Figure in{"host-to-inside", "a file written on the host, until a command inside that waits for it has ended", {}};
  for (; round < 20; ++round) {
    const std::string text = fmt::format("{} {}\n", ::getpid(), round);
    TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "printf '%s' \"$1\" >.locki-bench", "sh", text}));
    const auto begun = Clock::now();
    TRY(wait_for_content(file, text));
    out.samples.push_back(seconds_since(begun));
  }
  for (; round < 40; ++round) {
    const std::string text = fmt::format("{} {}\n", ::getpid(), round);
    const auto begun = Clock::now();
    TRY(sys::write_file(file, text));
    TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "while [ \"$(cat .locki-bench)\" != \"$1\" ]; do sleep 0.01; done", "sh", text.substr(0, text.size() - 1)}));
    in.samples.push_back(seconds_since(begun));
  }
  bench.add(std::move(out));
  bench.add(std::move(in));
  return sys::remove_tree(file);
}

std::size_t files_in(const std::filesystem::path& directory) {
  std::size_t count = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) count += it->is_regular_file(error) ? 1 : 0;
  return count;
}

// 10,000 small files and one of 64 MiB each way, from the last byte written to the last one carried.
Result<> measure_throughput(Bench& bench, const OpenedSandbox& sandbox) {
  constexpr std::size_t kFiles = 10'000, kBig = 64 << 20;
  constexpr auto kPatience = std::chrono::minutes(5);
  Context& context = bench.context_;
  const std::filesystem::path top = std::filesystem::path(sandbox.worktree) / ".locki-bench-files";
  const auto wait_here = [&](const std::function<bool()>& done) -> Result<> {
    for (const auto begun = Clock::now(); !done(); std::this_thread::sleep_for(milliseconds(20))) {
      if (Clock::now() - begun > kPatience) return fail(ErrorKind::kTimeout, "it was not carried in time");
    }
    return {};
  };
  const auto make_inside = "set -e; mkdir -p .locki-bench-files/out; cd .locki-bench-files/out; for d in $(seq 100); do mkdir $d; for f in $(seq 100); do echo $d $f >$d/$f; done; done";
  TRY(run_inside(context, sandbox, {"/bin/sh", "-c", make_inside}));
  auto begun = Clock::now();
  TRY(wait_here([&] { return files_in(top / "out") >= kFiles; }));
  bench.add({"files-out", "10,000 files made inside are on the host (after the last one)", {seconds_since(begun)}});

  begun = Clock::now();
  for (std::size_t i = 0; i < kFiles; ++i) {
    const auto directory = top / "in" / std::to_string(i / 100);
    if (i % 100 == 0) TRY(sys::make_directories(directory, 0755));
    TRY(sys::write_file(directory / std::to_string(i), std::to_string(i) + "\n"));
  }
  TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "until [ \"$(find .locki-bench-files/in -type f 2>/dev/null | wc -l)\" -ge 10000 ]; do sleep 0.2; done"}));
  bench.add({"files-in", "10,000 files made on the host are inside (with making them)", {seconds_since(begun)}});

  Figure out{"bytes-out", "64 MiB written inside, to the host", {}, Unit::kBytesPerSecond}, in{"bytes-in", "64 MiB written on the host, to the inside", {}, Unit::kBytesPerSecond};
  for (int i = 0; i < 3; ++i) {
    const auto name = fmt::format("big{}", i);
    TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "head -c 67108864 /dev/urandom >.locki-bench-files/part; mv .locki-bench-files/part \"$1\"", "sh", ".locki-bench-files/" + name}));
    begun = Clock::now();
    std::error_code error;
    TRY(wait_here([&] { return std::filesystem::file_size(top / name, error) == kBig && !error; }));
    out.samples.push_back(static_cast<double>(kBig) / seconds_since(begun));
    const std::string content(kBig, static_cast<char>('a' + i));
    begun = Clock::now();
    TRY(sys::write_file(top / ("in-" + name), content));
    TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "until [ \"$(stat -c %s \"$1\" 2>/dev/null)\" = 67108864 ]; do sleep 0.05; done", "sh", ".locki-bench-files/in-" + name}));
    in.samples.push_back(static_cast<double>(kBig) / seconds_since(begun));
  }
  bench.add(std::move(out));
  bench.add(std::move(in));
  TRY(sys::remove_tree(top));
  return context.call("sandbox.sync", {{"cwd", sandbox.worktree}, {"name", sandbox.name}}).map([](const json::object&) {});
}

// What runs while nobody does anything, and what it holds. Waits until the machine has become quiet.
Result<> measure_idle(Bench& bench) {
  constexpr int kMinutes = 3;
  Context& context = bench.context_;
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

// The same script inside and here. It prints nanoseconds, one line a round, so that neither starting it nor preparing is counted.
Result<> measure_disk(Bench& bench, const OpenedSandbox& sandbox) {
  constexpr std::string_view kScript = "set -e; d=$(mktemp -d /var/tmp/locki-bench.XXXXXX); cd $d; {}; for r in 1 2 3; do {}; s=$(date +%s%N); {}; e=$(date +%s%N); "
                                       "echo $((e - s)); done; cd /; rm -rf $d";
  const struct {
    const char *name, *meaning, *once, *each, *work;
  } jobs[] = {
      {"small-files", "2,000 small files made and synced", "true", "mkdir $r", "i=0; while [ $i -lt 2000 ]; do echo $i >$r/$i; i=$((i + 1)); done; sync -f ."},
      {"write", "256 MiB written and synced", "true", "rm -f big", "dd if=/dev/zero of=big bs=1M count=256 conv=fsync status=none"},
      {"read", "256 MiB read, not cached", "dd if=/dev/zero of=big bs=1M count=256 conv=fsync status=none", "dd of=big oflag=nocache conv=notrunc,fdatasync count=0 status=none",
       "dd if=big of=/dev/null bs=1M status=none"},
      {"git-status", "git status of 20,000 files", "git init -q .; for i in $(seq 200); do mkdir $i; for j in $(seq 100); do echo $j >$i/$j; done; done; git add -A; git status >/dev/null",
       "true", "git status >/dev/null"},
  };
  for (const auto& job : jobs) {
    const std::string script = fmt::format(kScript, job.once, job.each, job.work);
    TRY_ASSIGN(const std::string in, run_inside(bench.context_, sandbox, {"/bin/sh", "-c", script}));
    TRY_ASSIGN(const std::string out, sys::run_ok({.program = "/bin/sh", .args = {"-c", script}, .environment = bench.context_.environment}, {}, {.timeout = std::chrono::minutes(10)}));
    for (const auto& [where, text] : {std::pair{"disk", &in}, {"host", &out}}) {
      Figure figure{fmt::format("{}:{}", where, job.name), fmt::format("{}, {}", job.meaning, text == &in ? "inside" : "on this host"), {}};
      for (const auto& line : split_lines(*text)) {
        const auto nanoseconds = parse_u64(line);
        if (!nanoseconds) return fail(ErrorKind::kFailed, "a measuring script said: " + printable(line, 100));
        figure.samples.push_back(static_cast<double>(*nanoseconds) / 1e9);
      }
      if (figure.samples.empty()) return fail(ErrorKind::kFailed, "a measuring script said nothing");
      bench.add(std::move(figure));
    }
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
    suspend.samples.push_back(seconds_since(begun));
    begun = Clock::now();
    const sys::ProcessSpec spec{.program = context.installation.program.native(), .args = {"x", name, "--", "true"}, .environment = context.environment, .directory = context.cwd};
    TRY(sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}));
    wake.samples.push_back(seconds_since(begun));
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
    figure.samples.push_back(seconds->to_number<double>());
  }
  for (auto& [id, figure] : phases) bench.add(std::move(figure));
}

std::string machine_text() {
  utsname names{};
  ::uname(&names);
  return fmt::format("{} processors, Linux {}", std::thread::hardware_concurrency(), names.release);
}

// In the order in which they are measured: once the session is over it stays so, for those that want a machine that nobody uses.
struct Part {
  std::string name, what;
  bool in_session;  // the machine is kept awake
  std::function<Result<>(Bench&, const OpenedSandbox&)> measure;
};

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {
      {"commands", "commands", true, [](Bench& bench, const OpenedSandbox& sandbox) { return measure_commands(bench, sandbox.name); }},
      {"typing", "typing", true, measure_echo},
      {"mirror", "single files through the mirror", true, measure_mirror},
      {"throughput", "many and large files through the mirror", true, measure_throughput},
      {"disk", "the disk inside and here", true, measure_disk},
      {"sandboxes", "further sandboxes", true, [](Bench& bench, const OpenedSandbox&) { return measure_further(bench); }},
      {"idle", "idling, for three minutes", false, [](Bench& bench, const OpenedSandbox&) { return measure_idle(bench); }},
      {"sleep", "sleeping and waking", false, [](Bench& bench, const OpenedSandbox& sandbox) { return measure_sleep(bench, sandbox.name); }},
      {"phases", "the phases of earlier starts", false, [](Bench& bench, const OpenedSandbox&) { return add_phases(bench), Result<>{}; }},
  };
  return all;
}

std::string part_names() {
  std::vector<std::string> names;
  for (const auto& part : parts()) names.push_back(part.name);
  return join(names, ", ");
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto only = arguments.values("only");
  const auto wanted = [&](const Part& part) { return only.empty() || std::find(only.begin(), only.end(), part.name) != only.end(); };
  for (const auto& name : only) {
    const bool known = std::any_of(parts().begin(), parts().end(), [&](const Part& part) { return part.name == name; });
    if (!known) return fail(ErrorKind::kUsage, fmt::format("there is no part \"{}\" of the bench", printable(name, 40)), "one of: " + part_names());
  }
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(auto opened, open_sandbox(context, {.name = name, .agent = "", .create = true, .from = ""}));
  TRY_ASSIGN(const auto machine, context.call("vm.status", {}));
  const std::string accelerator = printable(json::string_or(machine, "accelerator", "unknown"));
  json::array all;
  for (const auto& part : parts()) {
    if (!wanted(part)) continue;
    if (!part.in_session) opened.daemon.reset();
    context.note(fmt::format("measuring {} ({})", part.what, part.name));
    Bench bench(context, 10);
    TRY(part.measure(bench, opened.sandbox));
    // What is measured is shown: the next part may take minutes, or be cut off.
    for (auto& figure : figures_json(bench.figures())) all.push_back(std::move(figure));
    if (!context.globals.json && !bench.figures().empty()) context.out(figures_table(bench.figures(), context.terminal.out_facts.columns, context.out_style()));
  }
  if (context.globals.json) {
    context.out_json(json::object{{"machine", machine_text()}, {"accelerator", accelerator}, {"version", LOCKI_VERSION}, {"figures", std::move(all)}});
    return 0;
  }
  context.note(machine_text() + ", " + accelerator);
  return 0;
}

}  // namespace

Command bench_command() {
  return {.name = "bench",
          .group = "Machine",
          .summary = "measure what you wait for, here",
          .description = "Measures commands, typing, the mirror, the disk, further sandboxes, idling and sleep with the sandbox NAME (made when\n"
                         "absent), and shows how long the phases of earlier starts took. Takes some ten minutes; others should leave the machine\n"
                         "alone. What the gate costs is measured without a machine: bench_gate of the build.\n"
                         "Parts: " + part_names() + ".",
          .positionals = {name_positional()},
          .options = {{"--only", "PART", "this part alone (repeatable)", true}},
          .examples = {{"locki bench my-feature", "all of it"}, {"locki bench --only typing --only sleep", "two parts"}, {"locki bench my-feature --json", "the same as data"}},
          .json = true,
          .inside = true,
          .run = run};
}

}  // namespace locki::cli
