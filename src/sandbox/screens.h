// Which agents run on a screen of their own inside (share/session), whether they wait for their user, and which have ended since somebody
// looked. Asking takes a command inside, so what was last seen is given at once and asked anew in the background. Thread-safe; must live as long as the process.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"

namespace locki::sandbox {

enum class ScreenState { kRunning, kWaiting, kFinished };
std::string_view to_string(ScreenState state);  // "running", "waiting", "finished"
struct Screen {
  ScreenState state = ScreenState::kRunning;
  int status = 0;  // of one that has ended: 0 to 255
  bool operator==(const Screen&) const = default;
};
using Screens = std::map<std::string, Screen>;  // by agent

// The lines "NAME running|waiting" and "NAME finished STATUS" of agent-session --state. The sandbox says them: whatever else is there is passed over.
Screens parse_screens(std::string_view text);

class ScreenWatch {
 public:
  using Ask = std::function<Result<std::string>()>;
  // For the first time it waits, at most this long.
  static constexpr std::chrono::milliseconds kFirstTime{1500};
  Screens look(const std::string& id, Ask ask);
  // What was asked elsewhere.
  void note(const std::string& id, Screens screens);
  void forget(const std::string& id);

 private:
  struct Seen {
    Screens screens;
    std::chrono::steady_clock::time_point when;
    bool known = false, asking = false;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Seen> seen_;
};

}  // namespace locki::sandbox
