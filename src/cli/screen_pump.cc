#include "cli/screen_pump.h"

#include <array>

namespace locki::cli {

Result<std::unique_ptr<ScreenPump>> ScreenPump::start(int terminal, bool interactive, std::function<void(const term::ScreenFilter&)> modes_changed) {
  std::unique_ptr<ScreenPump> pump(new ScreenPump(terminal, interactive, std::move(modes_changed)));
  TRY_ASSIGN(auto pipe, sys::make_pipe());
  pump->input_ = std::move(pipe.write);
  pump->output_ = std::move(pipe.read);
  pump->thread_ = std::thread([raw = pump.get()] { raw->run(); });
  return pump;
}

void ScreenPump::run() {
  std::array<std::uint8_t, 64 << 10> buffer;  // NOLINT: filled before it is read
  std::string out;
  auto generation = filter_.generation();
  for (;;) {
    const auto n = sys::read_some(output_.get(), buffer.data(), buffer.size());
    if (!n || *n == 0) break;
    out.clear();
    filter_.filter(ByteView(buffer.data(), *n), out);
    if (filter_.generation() != generation && modes_changed_) modes_changed_(filter_);
    generation = filter_.generation();
    if (!sys::write_all(terminal_, out)) break;  // the terminal is gone: the writer notices by our closed end
  }
  // Whoever gives the terminal back from raw mode writes the farewell then; else it is ours to write.
  if (!modes_changed_) std::ignore = sys::write_all(terminal_, filter_.farewell());
  output_.reset();
}

void ScreenPump::finish() {
  input_.reset();
  if (thread_.joinable()) thread_.join();
}

}  // namespace locki::cli
