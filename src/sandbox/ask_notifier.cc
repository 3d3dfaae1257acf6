#include "sandbox/ask_notifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"

namespace locki::sandbox {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto kLook = 250ms;  // how often a question that is shown is looked after
constexpr std::string_view kAllow = "allow", kDeny = "deny";

// The specification's body is a small markup language.
std::string as_markup(std::string_view text) {
  std::string out;
  for (const char c : printable(text, 300)) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else out += c;
  }
  return out;
}

}  // namespace

std::optional<Desktop> find_desktop() {
  const char* bus = std::getenv("DBUS_SESSION_BUS_ADDRESS");
  auto program = sys::find_program("notify-send");
  if (bus == nullptr || *bus == '\0' || !program) return std::nullopt;
  Desktop desktop{std::move(*program), sys::clean_environment()};
  for (const char* name : {"DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"})
    if (const char* value = std::getenv(name)) desktop.environment[name] = value;
  return desktop;
}

bool takes_answers(std::string_view version_line) {
  const std::string_view line = trim(version_line);
  const auto parts = split(line.substr(line.rfind(' ') + 1), '.');  // npos + 1 is 0
  const auto major = parse_u64(parts[0]), minor = parts.size() > 1 ? parse_u64(parts[1]) : std::nullopt;
  return major && (*major > 0 || (minor && *minor >= 8));
}

std::vector<std::string> notification(const gate::Question& question, std::size_t more, bool takes_answers, milliseconds time) {
  std::string body = fmt::format("It wants to reach {}.", as_markup(question.target.to_string()));
  if (more > 0) body += fmt::format(" {} more wait.", more);
  if (!takes_answers || more > 0) body += " Decide in a terminal: locki net watch";
  std::vector<std::string> args = {"--app-name=locki", fmt::format("--expire-time={}", time.count())};
  if (takes_answers) {
    args.push_back(fmt::format("--action={}=Allow once", kAllow));
    args.push_back(fmt::format("--action={}=Deny", kDeny));
  }
  args.insert(args.end(), {"--", fmt::format("locki: {} asks", printable(question.client_name, 100)), std::move(body)});
  return args;
}

void AskNotifier::wake() {
  if (!desktop_) return;
  const std::scoped_lock lock(mutex_);
  if (stopped_) return;
  woken_ = true;
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_all();
}

void AskNotifier::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void AskNotifier::work() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return woken_ || stopped_; });
      if (stopped_) return;
      woken_ = false;
    }
    try {
      if (pause(needs_.settle)) go_through_questions();
    } catch (const std::exception& error) {
      log::error("notifications: {}", printable(error.what()));
    }
  }
}

bool AskNotifier::pause(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [this] { return stopped_; });
}

void AskNotifier::go_through_questions() {
  for (;;) {
    auto open = needs_.questions();
    std::erase_if(told_, [&](const gate::Question& each) { return std::find(open.begin(), open.end(), each) == open.end(); });
    std::erase_if(open, [&](const gate::Question& each) { return std::find(told_.begin(), told_.end(), each) != told_.end(); });
    if (open.empty() || !needs_.wanted()) return;
    told_.push_back(open.front());
    if (show(open.front(), open.size() - 1)) continue;
    // Who closes one of several does not want to close them all: those that were counted in it are not shown by themselves.
    told_.insert(told_.end(), open.begin() + 1, open.end());
    if (!pause(needs_.gap)) return;
  }
}

bool AskNotifier::still_open(const gate::Question& question) {
  const auto open = needs_.questions();
  return std::find(open.begin(), open.end(), question) != open.end() && needs_.wanted();
}

bool AskNotifier::show(const gate::Question& question, std::size_t more) {
  if (!takes_answers_) {
    const auto version = sys::run({.program = desktop_->program, .args = {"--version"}, .environment = desktop_->environment}, {}, {.timeout = 3s, .max_output = 4096});
    takes_answers_ = version && version->exit.ok() && takes_answers(version->out);
  }
  const milliseconds limit = needs_.limit();
  auto pipe = sys::make_pipe();
  if (!pipe) return false;
  auto child = sys::spawn({.program = desktop_->program,
                           .args = notification(question, more, *takes_answers_, limit),
                           .environment = desktop_->environment,
                           .out = pipe->write.get(),
                           .parent_death_signal = SIGKILL});
  pipe->write.reset();
  if (!child) {
    log::warning("no notification: {}", child.error().describe());
    return false;
  }
  for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until;) {
    const auto ended = child->wait_for(kLook);
    if (!ended) return false;
    if (*ended) {
      if (!(*ended)->ok() || !*takes_answers_) return false;
      std::uint8_t answer[64] = {};
      // What it has left running might hold the pipe open: nothing is waited for.
      if (!sys::set_nonblocking(pipe->read.get(), true)) return false;
      const auto size = sys::read_some(pipe->read.get(), answer, sizeof answer);
      const std::string_view said = trim(std::string_view(reinterpret_cast<const char*>(answer), size.value_or(0)));
      if (said != kAllow && said != kDeny) return false;
      needs_.answer(question, said == kAllow);
      return true;
    }
    if (!pause(0ms) || !still_open(question)) break;
  }
  (void)child->stop(500ms);
  return false;
}

}  // namespace locki::sandbox
