#include "sandbox/screens.h"

#include <thread>
#include <utility>

#include "base/strings.h"

namespace locki::sandbox {

namespace {
constexpr std::chrono::seconds kFresh{3};
constexpr std::size_t kMaxScreens = 16;
}  // namespace

std::string_view to_string(ScreenState state) {
  switch (state) {
    case ScreenState::kRunning: return "running";
    case ScreenState::kWaiting: return "waiting";
    case ScreenState::kFinished: return "finished";
  }
  return "";
}

Screens parse_screens(std::string_view text) {
  Screens screens;
  for (const auto& line : split_lines(text)) {
    const auto words = split(line, ' ');
    const bool word = words.size() >= 2 && words.size() <= 3 && !words[0].empty() && words[0].size() <= 40 &&
                      words[0].find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos;
    if (!word) continue;
    if (words.size() == 3) {
      const auto status = parse_u64(words[2]);
      if (words[1] != "finished" || !status || *status > 255) continue;
      screens[words[0]] = {ScreenState::kFinished, static_cast<int>(*status)};
    } else if (words[1] == "running" || words[1] == "waiting") {
      screens[words[0]] = {words[1] == "running" ? ScreenState::kRunning : ScreenState::kWaiting};
    } else {
      continue;
    }
    if (screens.size() >= kMaxScreens) break;
  }
  return screens;
}

Screens ScreenWatch::look(const std::string& id, Ask ask) {
  std::unique_lock lock(mutex_);
  Seen& seen = seen_[id];
  const bool stale = !seen.known || std::chrono::steady_clock::now() - seen.when > kFresh;
  if (stale && !std::exchange(seen.asking, true)) {
    std::thread([this, id, ask = std::move(ask)] {
      const auto said = ask();
      const std::scoped_lock guard(mutex_);
      Seen& now = seen_[id];
      now = {.screens = said ? parse_screens(*said) : Screens{}, .when = std::chrono::steady_clock::now(), .known = true, .asking = false};
      changed_.notify_all();
    }).detach();
  }
  if (!seen.known) changed_.wait_for(lock, kFirstTime, [&] { return seen_[id].known; });
  return seen_[id].screens;
}

void ScreenWatch::note(const std::string& id, Screens screens) {
  const std::scoped_lock lock(mutex_);
  Seen& seen = seen_[id];
  seen.screens = std::move(screens);
  seen.when = std::chrono::steady_clock::now();
  seen.known = true;
  changed_.notify_all();
}

void ScreenWatch::forget(const std::string& id) {
  const std::scoped_lock guard(mutex_);
  seen_.erase(id);
}

}  // namespace locki::sandbox
