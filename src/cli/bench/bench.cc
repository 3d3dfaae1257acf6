#include "cli/bench/bench.h"

#include "sys/process.h"

namespace locki::cli {

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

Result<> Bench::measure(std::string name, std::string meaning, const std::function<Result<>()>& once) {
  return measure_own(std::move(name), std::move(meaning), [&]() -> Result<double> {
    const auto begun = Clock::now();
    TRY(once());
    return seconds_since(begun);
  });
}

Result<> Bench::measure_own(std::string name, std::string meaning, const std::function<Result<double>()>& once) {
  Figure figure{std::move(name), std::move(meaning), {}};
  for (std::size_t i = 0; i < rounds_; ++i) {
    TRY_ASSIGN(const double sample, locki::context(once(), "while measuring " + figure.name));
    figure.samples.push_back(sample);
  }
  add(std::move(figure));
  return {};
}

void Bench::add(Figure figure) {
  if (!figure.samples.empty()) figures_.push_back(std::move(figure));
}

Result<> run_locki(Context& context, std::vector<std::string> args) {
  const sys::ProcessSpec spec{.program = context.installation.program.native(), .args = std::move(args), .environment = context.environment, .directory = context.cwd};
  return sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}).map([](const std::string&) {});
}

std::uint64_t vm_number(Context& context, std::string_view key) {
  const auto status = context.call("vm.status", {});
  return status ? static_cast<std::uint64_t>(json::int_or(*status, key)) : 0;
}

}  // namespace locki::cli
