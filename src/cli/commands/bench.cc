// locki bench [NAME]
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "cli/bench/facts.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"

namespace locki::cli {
namespace {

constexpr std::size_t kRounds = 10;

enum class Needs {
  kNothing,  // neither the machine nor the daemon
  kSandbox,  // one that nobody uses
  kSession,  // one that is kept awake
};

// In the order in which they are measured: the gate before anything is woken, and once the session is over it stays so, for those that want a machine
// that nobody uses.
struct Part {
  std::string name, what;
  Needs needs;
  std::function<Result<>(Bench&, const OpenedSandbox&)> measure;
  bool by_name = false;  // not among "all of it"
};

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {
      {"gate", "the gate alone", Needs::kNothing, [](Bench& bench, const OpenedSandbox&) { return measure_gate(bench); }},
      {"commands", "commands", Needs::kSession, measure_commands},
      {"typing", "typing", Needs::kSession, measure_typing},
      {"mirror", "single files through the mirror", Needs::kSession, measure_mirror},
      {"throughput", "many and large files through the mirror", Needs::kSession, measure_throughput},
      {"commits", "commits through the mirror", Needs::kSession, [](Bench& bench, const OpenedSandbox&) { return measure_commits(bench); }},
      {"durability", "what is on both disks", Needs::kSession, measure_durability},
      {"sandboxes", "further sandboxes", Needs::kSession, [](Bench& bench, const OpenedSandbox& sandbox) { return measure_sandboxes(bench, sandbox); }},
      {"disk", "the disk inside and here", Needs::kSession, measure_disk},  // some time after the host deleted what throughput made (disk.cc)
      {"idle", "idling, for three minutes", Needs::kSandbox, [](Bench& bench, const OpenedSandbox&) { return measure_idle(bench); }},
      {"sleep", "sleeping and waking", Needs::kSandbox, [](Bench& bench, const OpenedSandbox& sandbox) { return measure_sleep(bench, sandbox.name); }},
      {"crash", "a machine that dies", Needs::kSandbox, measure_crash, true},
      {"phases", "the phases of earlier starts", Needs::kNothing, [](Bench& bench, const OpenedSandbox&) { return add_phases(bench), Result<>{}; }},
  };
  return all;
}

std::string part_names() {
  std::vector<std::string> names;
  for (const auto& part : parts()) names.push_back(part.name);
  return join(names, ", ");
}

Result<std::vector<Part>> wanted_parts(const std::vector<std::string>& only) {
  for (const auto& name : only) {
    const bool known = std::any_of(parts().begin(), parts().end(), [&](const Part& part) { return part.name == name; });
    if (!known) return fail(ErrorKind::kUsage, fmt::format("there is no part \"{}\" of the bench", printable(name, 40)), "one of: " + part_names());
  }
  std::vector<Part> wanted;
  for (const auto& part : parts()) {
    if ((only.empty() && !part.by_name) || std::find(only.begin(), only.end(), part.name) != only.end()) wanted.push_back(part);
  }
  return wanted;
}

// The sandbox is opened when the first part needs it.
class Run {
 public:
  Run(Context& context, std::string name, bool several) : context_(context), name_(std::move(name)), several_(several) {}

  // What was measured is shown, whatever became of the rest: the next part may take minutes, or be cut off.
  void measure(const Part& part) {
    context_.note(fmt::format("measuring {} ({})", part.what, part.name));
    Bench bench(context_, kRounds);
    auto measured = ready_for(part);
    if (measured) measured = part.measure(bench, opened_ ? opened_->sandbox : OpenedSandbox{});
    for (auto& figure : figures_json(bench.figures())) figures_.push_back(std::move(figure));
    if (!context_.globals.json && !bench.figures().empty()) context_.out(figures_table(bench.figures(), static_cast<int>(context_.terminal.out_facts.columns), context_.out_style()));
    if (measured) return;
    auto error = std::move(measured).error().with_context(fmt::format("while measuring {}", part.what));
    if (several_) context_.note(fmt::format("{} failed: {}", part.name, error.describe()));
    failed_.push_back(json::object{{"part", part.name}, {"error", error.describe()}});
    if (!error_) error_ = std::move(error);
  }

  // Of several errors the first: the others may only follow from it.
  Result<int> finish() {
    if (machine_.empty()) {
      // Nobody needed it: it is told what is known without starting anything.
      if (auto daemon = context_.services.connect_existing()) {
        if (auto status = (*daemon)->call("vm.status", {}, {})) machine_ = std::move(status->result);
      }
    }
    const HostFacts host = this_host();
    if (context_.globals.json) {
      json::object all = facts_json(host, machine_);
      all["version"] = LOCKI_VERSION;
      all["figures"] = std::move(figures_);
      all["failed"] = std::move(failed_);
      context_.out_json(all);
    } else {
      context_.note(facts_line(host, machine_));
    }
    if (error_) return fail(std::move(*error_));
    return 0;
  }

 private:
  Result<> ready_for(const Part& part) {
    if (part.needs == Needs::kNothing) return {};
    if (!opened_) {
      TRY_ASSIGN(opened_, open_sandbox(context_, {.name = name_, .agent = "", .create = true, .from = ""}));
      TRY_ASSIGN(machine_, context_.call("vm.status", {}));
    }
    if (part.needs == Needs::kSandbox) opened_->daemon.reset();
    return {};
  }

  Context& context_;
  std::string name_;
  bool several_;  // parts
  std::optional<Opened> opened_;
  json::object machine_;
  json::array figures_, failed_;
  std::optional<Error> error_;
};

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto wanted, wanted_parts(arguments.values("only")));
  const bool inside = std::any_of(wanted.begin(), wanted.end(), [](const Part& part) { return part.needs != Needs::kNothing; });
  std::string name;
  if (inside) {
    TRY_ASSIGN(name, which_sandbox(context, arguments.value("NAME")));
  }
  Run all(context, name, wanted.size() > 1);
  for (const auto& part : wanted) all.measure(part);
  return all.finish();
}

}  // namespace

Command bench_command() {
  return {.name = "bench",
          .group = "Machine",
          .summary = "measure what you wait for, here",
          .description = "Measures what the gate costs, commands, typing, the mirror, further sandboxes, the disk, idling and sleep with the sandbox\n"
                         "NAME (made when absent), and shows how long the phases of earlier starts took. Takes some twenty minutes without\n"
                         "hardware acceleration; others should leave the machine alone. A part that fails does not keep the others away.\n"
                         "Parts: " + part_names() + ".",
          .positionals = {name_positional()},
          .options = {{"--only", "PART", "this part alone (repeatable)", true}},
          .examples = {{"locki bench my-feature", "all of it, but for crash"},
                       {"locki bench --only typing --only sleep", "two parts"},
                       {"locki bench my-feature --only crash", "kills the machine three times"},
                       {"locki bench --only gate", "the gate on this host; nothing is started"},
                       {"locki bench my-feature --json", "the same as data"}},
          .json = true,
          .inside = true,
          .run = run};
}

}  // namespace locki::cli
