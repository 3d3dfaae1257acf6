#include "cli/session.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "cli/environment.h"
#include "cli/screen_pump.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "term/raw_mode.h"

namespace locki::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kGrace = 3s;
constexpr int kInterruptsToLeave = 3;

struct Size {
  int width = 0, height = 0;
};
Size size_of(int terminal) {
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) != 0) return {80, 24};
  return {size.ws_col > 0 ? size.ws_col : 80, size.ws_row > 0 ? size.ws_row : 24};
}

// Passes signals on to the command while it runs.
class SignalRelay {
 public:
  SignalRelay(SignalPipe signals, Execution& execution, int terminal)
      : signals_(std::move(signals)), execution_(execution), terminal_(terminal), thread_([this] { run(); }) {}
  ~SignalRelay() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    signals_.wake_up();
    thread_.join();
    if (deadline_.joinable()) deadline_.join();
  }
  int ended_by() const { return ended_by_; }

 private:
  void run() {
    int interrupts = 0;
    while (const int number = signals_.next()) {
      if (number == SIGWINCH) {
        const auto size = size_of(terminal_);
        if (terminal_ >= 0) execution_.resize(size.width, size.height);
        continue;
      }
      execution_.signal(number);
      if (number == SIGINT && ++interrupts >= kInterruptsToLeave) leave(number);
      if ((number == SIGTERM || number == SIGHUP) && !deadline_.joinable()) {
        deadline_ = std::thread([this, number] {
          std::unique_lock lock(mutex_);
          if (!wake_.wait_for(lock, kGrace, [this] { return stopping_; })) leave(number);
        });
      }
    }
  }
  void leave(int number) {
    ended_by_ = number;
    execution_.cancel();
  }

  SignalPipe signals_;
  Execution& execution_;
  int terminal_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::atomic<int> ended_by_{0};
  std::thread deadline_;  // belongs to thread_ until that has ended
  std::thread thread_;    // last: it uses all of the above
};

// Runs it with signals passed on.
Result<incus::ExecResult> execute(Execution& execution, const OpenedSandbox& sandbox, const incus::ExecRequest& request, incus::ExecIo io, int terminal) {
  TRY_ASSIGN(auto signals, SignalPipe::install());
  SignalRelay relay(std::move(signals), execution, terminal);
  if (terminal >= 0) {  // it may have changed while nobody watched
    const auto size = size_of(terminal);
    execution.resize(size.width, size.height);
  }
  auto result = execution.exec(sandbox.instance, request, io);
  if (relay.ended_by() != 0) return incus::ExecResult{.status = 128 + relay.ended_by()};
  return result;
}

Result<incus::ExecResult> run_on_terminal(Context& context, Execution& execution, const OpenedSandbox& sandbox, const SessionRequest& request) {
  const auto& terminal = context.terminal;
  TRY_ASSIGN(auto raw, term::RawMode::enter(terminal.in));
  // The title that is there now comes back at the end (xterm's title stack; terminals without one ignore it).
  constexpr std::string_view kKeepTitle = "\x1b[22;0t", kTitleBack = "\x1b[23;0t";
  const bool titles = terminal.out_facts.moving;
  const std::string last = titles ? std::string(kTitleBack) : "";
  raw.set_farewell(last);
  if (titles) TRY(sys::write_all(terminal.out, kKeepTitle));
  TRY_ASSIGN(auto pump, ScreenPump::start(terminal.out, true, [&](const term::ScreenFilter& filter) {
               raw.set_farewell(filter.farewell() + last);
               raw.set_discard_input(filter.queried());
             }));
  auto status = execute(execution, sandbox, exec_request(context, sandbox, request, true), {.in = terminal.in, .out = pump->input()}, terminal.out);
  pump->finish();
  raw.restore();
  return status;
}

Result<incus::ExecResult> run_on_pipes(Context& context, Execution& execution, const OpenedSandbox& sandbox, const SessionRequest& request) {
  const auto& terminal = context.terminal;
  std::unique_ptr<ScreenPump> out, err;
  if (terminal.out_facts.terminal) {
    TRY_ASSIGN(out, ScreenPump::start(terminal.out, false));
  }
  if (terminal.err_facts.terminal) {
    TRY_ASSIGN(err, ScreenPump::start(terminal.err, false));
  }
  auto status = execute(execution, sandbox, exec_request(context, sandbox, request, false),
                        {.in = terminal.in, .out = out ? out->input() : terminal.out, .err = err ? err->input() : terminal.err}, -1);
  if (out) out->finish();
  if (err) err->finish();
  return status;
}

}  // namespace

bool wants_terminal(const Context& context) { return context.terminal.in_facts.terminal && context.terminal.out_facts.terminal; }

incus::ExecRequest exec_request(const Context& context, const OpenedSandbox& sandbox, const SessionRequest& request, bool terminal) {
  incus::ExecRequest exec;
  exec.argv = request.argv;
  exec.environment = sandbox.environment;
  for (const auto& [name, value] : crossing_environment(context.environment)) exec.environment.insert_or_assign(name, value);
  if (!terminal) exec.environment.erase("TERM");
  else exec.environment.try_emplace("TERM", "xterm-256color");
  exec.cwd = request.directory.empty() ? sandbox.worktree : request.directory;
  exec.uid = sandbox.uid;
  exec.gid = sandbox.gid;
  exec.interactive = terminal;
  if (terminal) {
    const auto size = size_of(context.terminal.out);
    exec.width = size.width;
    exec.height = size.height;
  }
  return exec;
}

Result<int> run_session(Context& context, const OpenedSandbox& sandbox, const SessionRequest& request) {
  TRY_ASSIGN(const auto execution, context.services.execution(sandbox));
  if (context.clear_progress) context.clear_progress();
  TRY_ASSIGN(const auto result, wants_terminal(context) ? run_on_terminal(context, *execution, sandbox, request) : run_on_pipes(context, *execution, sandbox, request));
  // As a shell would; a shell inside that said it itself was not silent.
  const bool cannot = (result.status == 126 || result.status == 127) && result.silent && !request.argv.empty();
  if (cannot) context.note("locki: " + printable(request.argv.front(), 200) + ": " + (result.status == 127 ? "not found" : "not executable") + " inside");
  return result.status;
}

std::string session_summary(const json::object& sandbox) {
  std::vector<std::string> parts;
  if (const auto ahead = json::int_or(sandbox, "ahead"); ahead > 0) parts.push_back(counted(ahead, "commit") + " ahead");
  if (json::bool_or(sandbox, "dirty")) parts.emplace_back("uncommitted changes");
  const auto name = printable(json::string_or(sandbox, "name"));
  if (const auto* mirror = json::object_or_null(sandbox, "mirror")) {
    if (const auto held = json::int_or(*mirror, "held"); held > 0) {
      parts.push_back(counted(held, "file") + " held at the door (locki review " + name + ")");
    }
    if (const auto conflicts = json::int_or(*mirror, "conflicts"); conflicts > 0) {
      parts.push_back(counted(conflicts, "conflict") + ": your version stands (locki history " + name + ")");
    }
    if (const auto problem = json::string_or(*mirror, "problem"); !problem.empty()) parts.push_back(printable(problem, 120));
  }
  if (parts.empty()) return "";
  return name + ": " + join(parts, ", ");
}

std::string refused_summary(const json::array& entries, const std::string& begun) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> targets;
  for (const auto& value : entries) {
    if (!value.is_object()) continue;
    const auto& entry = value.get_object();
    const auto host = json::string_or(entry, "host");
    // Times are RFC 3339 in UTC: their order is that of their texts.
    if (json::string_or(entry, "event") != "refused" || host.empty() || json::string_or(entry, "time") < begun) continue;
    const auto port = json::int_or(entry, "port");
    const std::string shown = printable(host, 260);
    std::string target = port == 80 || port == 443 ? shown : (shown.find(':') != std::string::npos ? "[" + shown + "]" : shown) + ":" + std::to_string(port);
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) targets.push_back(std::move(target));
  }
  if (targets.empty()) return "";
  std::string text = "refused by the network's rules; what should have passed can be allowed:";
  for (std::size_t i = 0; i < targets.size() && i < kMost; ++i) text += "\n  locki net allow " + targets[i];
  if (targets.size() > kMost) text += "\n  … and " + std::to_string(targets.size() - kMost) + " more: locki net log";
  return text;
}

}  // namespace locki::cli
