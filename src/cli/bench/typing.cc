// From the key that is pressed until its echo comes back, through a terminal inside: what a person feels while typing.
#include <thread>

#include "cli/bench/bench.h"
#include "sys/fd.h"

namespace locki::cli {

Result<> measure_typing(Bench& bench, const OpenedSandbox& sandbox) {
  constexpr int kKeys = 50;
  TRY_ASSIGN(auto execution, bench.context().services.execution(sandbox));
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
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  execution->cancel();
  in.write.reset();
  session.join();
  TRY(pressed);
  bench.add(std::move(figure));
  return {};
}

}  // namespace locki::cli
