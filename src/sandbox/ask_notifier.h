// Mode ask on a desktop: while nobody runs `locki net watch`, a notification tells which sandbox waits for which host, and takes the answer where
// notify-send can (libnotify 0.8: --action). One notification at a time, and none outlives the question. A thread of its own, from the first wake() to
// stop(); wake() and stop() from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gate/gate.h"
#include "sys/process.h"

namespace locki::sandbox {

// notify-send and the environment with which it finds the user's desktop; nothing where there is none of either.
struct Desktop {
  std::string program;
  std::map<std::string, std::string> environment;
};
std::optional<Desktop> find_desktop();

// The arguments for one question, of which `more` wait behind it. Names are escaped: the body is markup.
std::vector<std::string> notification(const gate::Question& question, std::size_t more, bool takes_answers, std::chrono::milliseconds time);
// Of `notify-send --version`: 0.8 and later take answers.
bool takes_answers(std::string_view version_line);

class AskNotifier {
 public:
  struct Needs {  // all are called on the notifier's thread
    std::function<std::vector<gate::Question>()> questions;            // that are open now
    std::function<bool()> wanted;                                      // switched on, and nobody watches a terminal
    std::function<std::chrono::milliseconds()> limit;                  // how long a question waits
    std::function<void(const gate::Question&, bool allow)> answer;
    std::chrono::milliseconds settle{700};  // after wake(): time for a watching terminal to show that it is there
    std::chrono::milliseconds gap{3000};    // after a notification that was not answered
  };
  AskNotifier(std::optional<Desktop> desktop, Needs needs) : desktop_(std::move(desktop)), needs_(std::move(needs)) {}
  ~AskNotifier() { stop(); }
  AskNotifier(const AskNotifier&) = delete;
  AskNotifier& operator=(const AskNotifier&) = delete;

  void wake();  // there may be a question; cheap, never blocks for long
  void stop();  // for good; what is shown is taken away

 private:
  void work();
  void go_through_questions();
  bool show(const gate::Question& question, std::size_t more);  // false: no answer came
  bool still_open(const gate::Question& question);
  bool pause(std::chrono::milliseconds time);  // false: stopped meanwhile

  const std::optional<Desktop> desktop_;
  const Needs needs_;
  std::optional<bool> takes_answers_;     // asked once
  std::vector<gate::Question> told_;      // still open, and not to be told again
  std::mutex mutex_;                      // of what follows
  std::condition_variable changed_;
  bool woken_ = false, stopped_ = false;
  std::thread thread_;
};

}  // namespace locki::sandbox
