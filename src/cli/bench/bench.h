// What the parts of `locki bench` have in common, and the parts. Each blocks, on the main thread; what it adds counts even when it fails later on.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "cli/bench/figures.h"
#include "cli/context.h"

namespace locki::cli {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begun);

// Each figure is a whole thing that a person waits for, or what something costs. One of which a sample failed is none: its error ends the part.
class Bench {
 public:
  Bench(Context& context, std::size_t rounds) : context_(context), rounds_(rounds) {}

  Result<> measure(std::string name, std::string meaning, const std::function<Result<>()>& once);
  // The same where only a part of each round is counted: `once` says how many seconds.
  Result<> measure_own(std::string name, std::string meaning, const std::function<Result<double>()>& once);
  void add(Figure figure);  // without samples it is none
  const std::vector<Figure>& figures() const { return figures_; }
  std::size_t rounds() const { return rounds_; }
  Context& context() const { return context_; }

 private:
  Context& context_;
  std::size_t rounds_;
  std::vector<Figure> figures_;
};

// The program itself, as the user calls it.
Result<> run_locki(Context& context, std::vector<std::string> args);
// A number of `vm.status`; 0 when there is none.
std::uint64_t vm_number(Context& context, std::string_view key);

Result<> measure_gate(Bench& bench);
Result<> measure_commands(Bench& bench, const OpenedSandbox& sandbox);
Result<> measure_typing(Bench& bench, const OpenedSandbox& sandbox);
Result<> measure_mirror(Bench& bench, const OpenedSandbox& sandbox);
Result<> measure_throughput(Bench& bench, const OpenedSandbox& sandbox);
Result<> measure_commits(Bench& bench);
Result<> measure_durability(Bench& bench, const OpenedSandbox& sandbox);
Result<> measure_crash(Bench& bench, const OpenedSandbox& sandbox);
Result<> measure_disk(Bench& bench, const OpenedSandbox& sandbox);
// `patience`: for a spare container to be made.
Result<> measure_sandboxes(Bench& bench, const OpenedSandbox& sandbox, std::chrono::milliseconds patience = std::chrono::minutes(3));
Result<> measure_idle(Bench& bench);
// `between`: the mirrors come back in the background after each time.
Result<> measure_sleep(Bench& bench, const std::string& name, std::chrono::milliseconds between = std::chrono::seconds(5));
void add_phases(Bench& bench);

}  // namespace locki::cli
