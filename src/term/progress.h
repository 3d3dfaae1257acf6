// Draws ProgressEvents on stderr: one live line on a terminal that can redraw, plain lines elsewhere.
//
// Live: a spinner, what happens, elapsed time and a bar when the fraction is known; it appears after 300 ms, so quick commands stay
// silent; a phase that took two seconds or more leaves a line behind. Plain: a line when a phase has lasted a second, one every ten
// seconds, one at its end. ProgressDrawing is pure (time and output come in from outside); ProgressDisplay adds a clock and a thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/progress.h"
#include "term/style.h"

namespace locki::term {

enum class Verbosity { kQuiet, kNormal, kVerbose };  // quiet: warnings only; verbose: every phase, at once

struct ProgressOptions {
  bool live = false;
  bool colour = false;
  unsigned columns = 80;
  Verbosity verbosity = Verbosity::kNormal;
};

// Not thread-safe. `write` gets whole pieces of output; texts of events pass printable().
class ProgressDrawing {
 public:
  using Clock = std::chrono::steady_clock;
  ProgressDrawing(ProgressOptions options, std::function<void(std::string_view)> write) : options_(options), style_(options.colour), write_(std::move(write)) {}

  void on(const ProgressEvent& event, Clock::time_point now);
  void tick(Clock::time_point now);  // about every 100 ms
  void clear();                      // takes the live line away: before anything else is printed, and at the end

 private:
  struct Running {
    std::string id, text;
    std::optional<double> fraction;
    Clock::time_point began, said;
    bool announced = false;
  };
  void say(std::string_view line);
  void end(const ProgressEvent& event, Clock::time_point now);
  std::string live_line(const Running& phase, Clock::time_point now) const;

  ProgressOptions options_;
  Style style_;
  std::function<void(std::string_view)> write_;
  std::vector<Running> running_;  // innermost last
  unsigned frame_ = 0;
  bool drawn_ = false;
};

// Owns a thread that ticks while phases run. Safe from any thread; sink() must not outlive the display.
class ProgressDisplay {
 public:
  ProgressDisplay(ProgressOptions options, std::function<void(std::string_view)> write);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  ProgressSink sink();
  void clear();

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable wake_;
  ProgressDrawing drawing_;
  bool stopping_ = false;
  bool started_ = false;
  std::thread ticker_;  // started by the first event
};

}  // namespace locki::term
