#include "term/progress.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "term/width.h"

namespace locki::term {
namespace {

using namespace std::chrono_literals;

constexpr auto kShownAfter = 300ms;      // live: quick phases never flash
constexpr auto kAnnouncedAfter = 1s;     // plain
constexpr auto kRepeatedEvery = 10s;     // plain
constexpr auto kWorthALine = 2s;         // live: a phase this long leaves one behind
constexpr std::size_t kMaxPhases = 64;   // what a broken sender can make us remember
constexpr const char* kFrames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};

std::string seconds(ProgressDrawing::Clock::duration time) {
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  if (s < 60) return fmt::format("{} s", s);
  return fmt::format("{} min {:02} s", s / 60, s % 60);
}

std::string percent(double fraction) { return fmt::format("{:.0f} %", std::clamp(fraction, 0.0, 1.0) * 100); }

std::string bar(double fraction) {
  constexpr int kCells = 16;
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kCells + 0.5);
  std::string out;
  for (int i = 0; i < kCells; ++i) out += i < full ? "█" : "░";
  return out;
}

}  // namespace

void ProgressDrawing::say(std::string_view line) {
  clear();
  write_(std::string(line) + "\n");
}

void ProgressDrawing::clear() {
  if (!drawn_) return;
  write_("\r\x1b[K");
  drawn_ = false;
}

void ProgressDrawing::on(const ProgressEvent& event, Clock::time_point now) {
  using Kind = ProgressEvent::Kind;
  const auto text = printable(event.text);
  const bool quiet = options_.verbosity == Verbosity::kQuiet;
  if (event.kind == Kind::kWarning) return say(style_.yellow("warning: ") + text);
  if (quiet) return;
  if (event.kind == Kind::kNote) return say(text);
  if (event.kind == Kind::kEnd) return end(event, now);

  auto phase = std::find_if(running_.begin(), running_.end(), [&](const Running& r) { return r.id == event.phase; });
  if (phase == running_.end()) {
    if (running_.size() >= kMaxPhases) return;
    running_.push_back({event.phase, text, event.fraction, now, now, false});
    phase = running_.end() - 1;
  } else {
    if (!text.empty()) phase->text = text;
    phase->fraction = event.fraction;
  }
  if (!options_.live && options_.verbosity == Verbosity::kVerbose && !phase->announced) {
    phase->announced = true;
    say(phase->text + " …");
  }
}

void ProgressDrawing::end(const ProgressEvent& event, Clock::time_point now) {
  const auto phase = std::find_if(running_.begin(), running_.end(), [&](const Running& r) { return r.id == event.phase; });
  if (phase == running_.end()) return;
  const auto took = now - phase->began;
  const bool leaves_line = options_.verbosity == Verbosity::kVerbose ||
                           (options_.live ? took >= kWorthALine : phase->announced);
  const auto text = phase->text;
  running_.erase(phase);
  if (leaves_line) {
    say(options_.live ? style_.green("✓") + " " + text + style_.dim("  " + seconds(took)) : text + ": " + seconds(took));
  } else {
    clear();
  }
}

std::string ProgressDrawing::live_line(const Running& phase, Clock::time_point now) const {
  const auto elapsed = seconds(now - phase.began);
  std::string right = "  " + elapsed;
  if (phase.fraction) right = "  " + bar(*phase.fraction) + " " + percent(*phase.fraction) + right;
  // The last column stays free: some terminals wrap when it is written.
  const std::size_t columns = options_.columns > 1 ? options_.columns - 1 : 79;
  const auto fixed = 2 + display_width(right);
  if (columns <= fixed) return std::string(kFrames[frame_ % std::size(kFrames)]) + " " + fit(phase.text, columns - std::min<std::size_t>(columns, 2));
  return style_.cyan(kFrames[frame_ % std::size(kFrames)]) + " " + fit(phase.text, columns - fixed) + style_.dim(right);
}

void ProgressDrawing::tick(Clock::time_point now) {
  if (running_.empty() || options_.verbosity == Verbosity::kQuiet) return;
  auto& phase = running_.back();
  if (options_.live) {
    if (now - running_.front().began < kShownAfter) return;
    ++frame_;
    write_("\r" + live_line(phase, now) + "\x1b[K");
    drawn_ = true;
    return;
  }
  if (!phase.announced && now - phase.began >= kAnnouncedAfter) {
    phase.announced = true;
    phase.said = now;
    say(phase.text + " …");
  } else if (phase.announced && now - phase.said >= kRepeatedEvery) {
    phase.said = now;
    say(phase.text + (phase.fraction ? ": " + percent(*phase.fraction) + ", " : ": ") + seconds(now - phase.began) + " so far");
  }
}

ProgressDisplay::ProgressDisplay(ProgressOptions options, std::function<void(std::string_view)> write)
    : drawing_(options, std::move(write)) {}

ProgressDisplay::~ProgressDisplay() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    drawing_.clear();
  }
  wake_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

ProgressSink ProgressDisplay::sink() {
  return [this](const ProgressEvent& event) {
    const std::lock_guard lock(mutex_);
    drawing_.on(event, ProgressDrawing::Clock::now());
    if (!started_) {
      started_ = true;
      ticker_ = std::thread([this] { run(); });
    }
  };
}

void ProgressDisplay::clear() {
  const std::lock_guard lock(mutex_);
  drawing_.clear();
}

void ProgressDisplay::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, std::chrono::milliseconds(100));
    if (!stopping_) drawing_.tick(ProgressDrawing::Clock::now());
  }
}

}  // namespace locki::term
