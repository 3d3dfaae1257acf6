// libexec/locki/mirror: the worker of one sandbox's mirror (control.h says how it is started and spoken to). A process
// of its own, so that what parses a sandbox's bytes holds no keys, no network and nobody else's files open.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "base/log.h"
#include "mirror/confine.h"
#include "mirror/session.h"
#include "sys/flush.h"
#include "sys/limits.h"

namespace {

using namespace locki;
using namespace locki::mirror;

// The first line of the daemon, byte by byte: what follows it belongs to the session.
Result<StartSettings> read_settings(int control) {
  std::string line;
  for (;;) {
    std::uint8_t byte = 0;
    TRY(sys::read_exact(control, &byte, 1));
    if (byte == '\n') break;
    line += static_cast<char>(byte);
    if (line.size() > (4 << 20)) return fail(ErrorKind::kUsage, "the first line is too long");
  }
  TRY_ASSIGN(const json::object first, json::parse_object(line));
  TRY_ASSIGN(const json::object start, json::get_object(first, "start"));
  return start_settings_from_json(start);
}

void ignore_signals() {
  (void)::signal(SIGPIPE, SIG_IGN);
  // At a logout or a shutdown every process is told to end at once; the daemon then still needs this one, and ends it over the control socket.
  for (const int number : {SIGTERM, SIGHUP, SIGINT}) (void)::signal(number, SIG_IGN);
}

// What is not understood holds nothing back, so it is an error.
Result<review::HoldRules> rules_of(const StartSettings& settings) {
  TRY_ASSIGN(review::HoldRules rules, review::HoldRules::parse(settings.hold_rules));
  if (rules.size() == 0) return fail(ErrorKind::kUsage, "there are none");
  for (const std::string& pattern : settings.hold) TRY(rules.hold(pattern, "held by your own configuration"));
  for (const std::string& pattern : settings.allow) TRY(rules.allow(pattern));
  return rules;
}

Result<> work() {
  sys::Fd stream(kStreamFd), control(kControlFd);
  for (const int fd : {kStreamFd, kControlFd}) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
      return fail(ErrorKind::kUsage, "this program is started by the locki daemon");
  }
  TRY_ASSIGN(StartSettings settings, read_settings(control.get()));
  TRY_ASSIGN(review::HoldRules rules, context(rules_of(settings), "while reading the rules for held files"));
  std::string boot = sys::boot_id();  // while /proc can be read
  TRY_ASSIGN(const Confinement confined, context(confine(settings), "while confining the worker"));
  SessionOptions options{.settings = std::move(settings), .boot = std::move(boot), .rules = std::move(rules)};
  options.outdated = [&confined] { return confined.config.replaced(); };
  TRY_ASSIGN(Session session, Session::open(std::move(options), std::move(stream), std::move(control)));
  return session.run();
}

}  // namespace

int main() {
  sys::limit_hostile_work();
  ignore_signals();
  log::open(STDERR_FILENO, log::Level::kInfo, "mirror");
  // The control socket outlives the session's use of it, for the last word.
  const sys::Fd last_word(::fcntl(kControlFd, F_DUPFD_CLOEXEC, 10));
  const auto result = work();
  if (result) return 0;
  const bool violation = result.error().kind() == ErrorKind::kProtocol;
  const std::string text = printable(result.error().describe(), 2000);
  log::error("{}", text);
  const Event event{violation ? "violation" : "failed", "", "", text};
  (void)sys::write_all(last_word.get(), json::serialize(to_json(event)) + "\n");
  return violation ? kStatusViolation : kStatusFailed;
}
