#include "daemon/client.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <thread>

#include "daemon/meeting.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace locki::daemon {

using std::chrono::milliseconds;

namespace {

// What the daemon inherits of the environment: where things live, the user's identity for git, the host's own network settings, and
// the desktop for notifications.
std::map<std::string, std::string> daemon_environment() {
  auto environment = sys::clean_environment();
  for (const char* name : {"USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TZ",
                           "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "GIT_AUTHOR_NAME",
                           "GIT_AUTHOR_EMAIL", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "LOCKI_LOG", "LOCKI_FAULT"}) {
    if (const char* value = std::getenv(name)) environment[name] = value;
  }
  return environment;
}

std::string log_tail(const sys::Paths& paths) {
  auto log = sys::read_file(log_file(paths));
  if (!log) return "";
  auto lines = split_lines(*log);
  if (lines.size() > 5) lines.erase(lines.begin(), lines.end() - 5);
  return join(lines, "\n  ");
}

// The daemon reports on descriptor 3: "ready", or why not. It goes on living when we go.
Result<> start_daemon(const sys::Paths& paths, const sys::Installation& installation) {
  TRY_ASSIGN(sys::Pipe ready, sys::make_pipe());
  TRY_ASSIGN(sys::Fd log, sys::open_file(log_file(paths), O_WRONLY | O_CREAT | O_APPEND));
  TRY_ASSIGN(sys::Child child, sys::spawn({.program = installation.core,
                                           .args = {"daemon"},
                                           .environment = daemon_environment(),
                                           .out = log.get(),
                                           .err = log.get(),
                                           .extra_fds = {{kReadyFd, ready.write.get()}},
                                           .new_session = true}));
  child.detach();
  ready.write.reset();
  TRY_ASSIGN(const bool answered, sys::wait_readable(ready.read.get(), milliseconds(15'000)));
  std::string answer;
  if (answered) {
    TRY_ASSIGN(answer, sys::read_all(ready.read.get(), 4096));
  }
  if (answer == "ready") return {};
  if (answer == "busy") return fail(ErrorKind::kExists, "another daemon is starting");
  if (!answer.empty()) return fail(ErrorKind::kUnavailable, answer);
  return fail(ErrorKind::kUnavailable, "locki's daemon did not start\n  " + log_tail(paths), "see " + log_file(paths).native());
}

}  // namespace

Result<Client> Client::connect_existing(const sys::Paths& paths) {
  auto socket = sys::connect_unix(socket_file(paths));
  if (!socket) return fail(ErrorKind::kUnavailable, "locki's daemon is not running");
  return Client(Channel(std::move(*socket)));
}

Result<Client> Client::connect(const sys::Paths& paths, const sys::Installation& installation) {
  TRY(sys::make_paths(paths));
  milliseconds delay(5);
  std::optional<Error> last;
  for (int attempt = 0; attempt < 40; ++attempt) {
    if (auto client = connect_existing(paths)) {
      const auto pong = client->call("ping", {});
      if (pong && json::string_or(pong->result, "build") == build_id(installation.core)) return client;
      // One that dies at this moment is waited for, like one that leaves: a later attempt starts another.
      if (!pong && !client->lost()) return fail(pong.error());
      if (pong) {
        // A daemon of another build: it leaves when nobody uses it; while somebody does, we keep to it.
        TRY_ASSIGN(Reply leaving, client->call("daemon.leave", {}));
        if (!json::bool_or(leaving.result, "leaving")) return client;
      }
    } else {
      auto started = start_daemon(paths, installation);
      if (started) continue;
      if (started.error().kind() != ErrorKind::kExists) return fail(std::move(started).error());
    }
    std::this_thread::sleep_for(delay);
    delay = std::min(delay * 2, milliseconds(500));
  }
  return fail(ErrorKind::kUnavailable, "locki's daemon holds its lock but does not answer\n  " + log_tail(paths),
              "see " + log_file(paths).native() + "; end the process named in " + (paths.state / "daemon.lock").native());
}

Result<Reply> Client::call(std::string_view method, json::object params, const ProgressSink& progress) {
  if (auto asked = channel_.write({{"method", method}, {"params", std::move(params)}}); !asked) {
    lost_ = true;
    return fail(std::move(asked).error().with_context("while asking the daemon"));
  }
  for (;;) {
    auto line = channel_.read();
    if (!line) {
      lost_ = true;
      return fail(std::move(line).error().with_context(fmt::format("while the daemon did {}", method)).with_hint("try again: the daemon starts anew and repairs"));
    }
    if (const auto* event = json::object_or_null(line->object, "event")) {
      report(progress, event_from_json(*event));
    } else if (const auto* error = json::object_or_null(line->object, "error")) {
      return fail(error_from_json(*error));
    } else {
      TRY_ASSIGN(auto result, json::get_object(line->object, "result"));
      return Reply{std::move(result), std::move(line->fds)};
    }
  }
}

}  // namespace locki::daemon
