// Carries a sandbox's output to a terminal through the screen filter, on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "sys/fd.h"
#include "term/screen_filter.h"

namespace locki::cli {

class ScreenPump {
 public:
  // `modes_changed` is called on the pump's thread with what would give the terminal back, before the bytes that made it so are written.
  static Result<std::unique_ptr<ScreenPump>> start(int terminal, bool interactive, std::function<void(const term::ScreenFilter&)> modes_changed = {});
  ~ScreenPump() { finish(); }

  int input() const { return input_.get(); }  // where the output is written to
  // No more input: everything is on the terminal when this returns, and the terminal has its modes back.
  void finish();

 private:
  ScreenPump(int terminal, bool interactive, std::function<void(const term::ScreenFilter&)> modes_changed)
      : terminal_(terminal), filter_({.interactive = interactive}), modes_changed_(std::move(modes_changed)) {}
  void run();

  int terminal_;
  sys::Fd input_, output_;
  term::ScreenFilter filter_;
  std::function<void(const term::ScreenFilter&)> modes_changed_;
  std::thread thread_;
};

}  // namespace locki::cli
