#include "daemon/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include "base/log.h"
#include "daemon/channel.h"
#include "daemon/meeting.h"
#include "daemon/methods.h"
#include "sandbox/manager.h"
#include "sys/file.h"
#include "sys/limits.h"
#include "sys/socket.h"
#include "sys/watch.h"

namespace locki::daemon {

namespace {

constexpr std::chrono::seconds kIdleLook{20};
// systemd's default before it kills is 90 s (DefaultTimeoutStopSec); memory of some gigabytes goes to a slow disk in half of that.
constexpr std::chrono::seconds kSleepTime{60};

// Tells the client that started us, once. Started by hand, there is nobody to tell.
class Readiness {
 public:
  Readiness() {
    if (::fcntl(kReadyFd, F_GETFD) >= 0) {
      ::fcntl(kReadyFd, F_SETFD, FD_CLOEXEC);
      fd_ = sys::Fd(kReadyFd);
    }
  }
  void tell(std::string_view text) {
    if (fd_) (void)sys::write_all(fd_.get(), text);
    fd_.reset();
  }

 private:
  sys::Fd fd_;
};

class Server {
 public:
  Server(sandbox::Manager& manager, sys::Fd wake, std::filesystem::path phases) : manager_(manager), wake_(std::move(wake)), phases_(std::move(phases)) {}

  void serve(sys::Fd socket) {
    ++connections_;
    std::thread([this, socket = std::move(socket)]() mutable {
      Channel channel(std::move(socket));
      Connection connection;
      converse(channel, connection);
      for (const auto& id : connection.sessions) manager_.session_ends(id);
      if (connection.leave) (void)sys::write_all(wake_.get(), "x");
      --connections_;
    }).detach();
  }
  int connections() const { return connections_; }
  int wake() const { return wake_.get(); }  // a byte ends the daemon

 private:
  void converse(Channel& channel, Connection& connection) {
    for (;;) {
      auto line = channel.read();
      if (!line) return;
      const std::string method = json::string_or(line->object, "method");
      const json::object none;
      const json::object* params = json::object_or_null(line->object, "params");
      bool gone = false;
      // A client that went away does not stop the work: what it began is finished.
      std::map<std::string, std::pair<std::chrono::steady_clock::time_point, std::string>> begun;
      const ProgressSink sink = [&](const ProgressEvent& event) {
        note_phase(begun, event);
        if (!gone && !channel.write({{"event", event_to_json(event)}})) gone = true;
      };
      auto reply = guarded_call(connection, method, params != nullptr ? *params : none, sink);
      std::vector<int> fds;
      json::object answer;
      if (reply) {
        for (const auto& fd : reply->fds) fds.push_back(fd.get());
        answer["result"] = std::move(reply->result);
      } else {
        log::warning("{}: {}", printable(method), reply.error().describe());
        answer["error"] = error_to_json(reply.error());
      }
      if (gone || !channel.write(answer, fds) || connection.leave) return;
    }
  }

  // How long each phase took, for `locki bench`: one line each, the newest last.
  void note_phase(std::map<std::string, std::pair<std::chrono::steady_clock::time_point, std::string>>& begun, const ProgressEvent& event) {
    if (event.kind == ProgressEvent::Kind::kBegin) begun[event.phase] = {std::chrono::steady_clock::now(), event.text};
    const auto found = begun.find(event.phase);
    if (event.kind != ProgressEvent::Kind::kEnd || found == begun.end()) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - found->second.first;
    const json::object line{{"phase", event.phase}, {"text", found->second.second}, {"seconds", took.count()}};
    begun.erase(found);
    auto file = sys::open_file(phases_, O_WRONLY | O_CREAT | O_APPEND);
    if (file) (void)sys::write_all(file->get(), json::serialize(line) + "\n");
  }

  // The last fence: nothing below should throw, but memory can run out.
  Result<Reply> guarded_call(Connection& connection, const std::string& method, const json::object& params, const ProgressSink& sink) {
    try {
      return call_method(manager_, connection, method, params, sink);
    } catch (const std::exception& e) {
      return fail(ErrorKind::kFailed, fmt::format("internal error in {}: {}", printable(method), e.what()), "please report this");
    }
  }

  sandbox::Manager& manager_;
  sys::Fd wake_;
  std::filesystem::path phases_;
  std::atomic<int> connections_{0};
};

// The session or the host ends, and with it the machine, unless it is asleep in time.
void go_to_sleep(sandbox::Manager& manager) {
  std::thread([] {
    std::this_thread::sleep_for(kSleepTime);
    log::warning("the machine could not be put to sleep in time");
    ::_exit(1);
  }).detach();
  if (const auto slept = manager.sleep_before_the_end(); !slept) log::warning("the machine stays awake: {}", slept.error().describe());
}

Result<int> serve_until_told(const sys::Paths& paths, const sys::Installation& installation, Readiness& readiness) {
  TRY(sys::make_paths(paths));
  auto lock = sys::FileLock::try_acquire(paths.state / "daemon.lock");
  if (!lock) {
    readiness.tell(lock.error().kind() == ErrorKind::kExists ? "busy" : lock.error().describe());
    return 1;
  }
  TRY(sys::write_file(paths.state / "daemon.pid", fmt::format("{}\n", ::getpid()), 0600));
  // Before the first thread: every thread leaves these to the loop below.
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  sys::Fd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC));
  TRY_ASSIGN(sys::Pipe wake, sys::make_pipe());

  TRY_ASSIGN(auto manager, sandbox::Manager::open(paths, installation));
  TRY_ASSIGN(const sys::Fd listener, sys::listen_unix(socket_file(paths)));
  manager->take_over();
  Server server(*manager, std::move(wake.write), paths.state / "phases.jsonl");
  log::info("daemon {} serves {}", own_build(), printable(socket_file(paths).native()));
  readiness.tell("ready");
  std::thread([&manager] { manager->recover(); }).detach();

  // The user's runtime directory goes with the last session (pam_systemd(8)); without its socket nobody finds this daemon again.
  const auto unfindable = [&paths] {
    std::error_code error;
    return !std::filesystem::exists(socket_file(paths), error) && !error;
  };
  TRY_ASSIGN(sys::TreeWatcher watcher, sys::TreeWatcher::make());
  TRY_ASSIGN(const sys::Fd socket_directory, sys::open_file(socket_file(paths).parent_path(), O_RDONLY | O_DIRECTORY));
  TRY(watcher.add("", socket_directory.get()));

  std::atomic<bool> cut_off = false;
  std::thread([&manager, &unfindable, &cut_off, wake = server.wake()] {
    for (;;) {
      std::this_thread::sleep_for(kIdleLook);
      // A file system that is taken away under the socket tells the watcher nothing.
      if (unfindable() && !cut_off.exchange(true)) (void)sys::write_all(wake, "x");
      manager->look_for_idleness();
      manager->fill_pool();
      sys::give_back_memory();  // dozens of threads have come and gone
    }
  }).detach();

  bool ends = false;
  for (;;) {
    std::array<pollfd, 4> polls{{{listener.get(), POLLIN, 0}, {signal_fd.get(), POLLIN, 0}, {wake.read.get(), POLLIN, 0}, {watcher.fd(), POLLIN, 0}}};
    if (::poll(polls.data(), polls.size(), -1) < 0) continue;
    if (polls[3].revents != 0) {
      (void)watcher.drain();
      if (unfindable()) cut_off = true;
    }
    if (cut_off || polls[1].revents != 0 || polls[2].revents != 0) {
      signalfd_siginfo told{};
      const bool by_signal = polls[1].revents != 0 && ::read(signal_fd.get(), &told, sizeof told) == sizeof told;
      // By hand (Ctrl-C) and for another build only the daemon goes. systemd's SIGTERM may come with a SIGHUP, which is read first.
      ends = cut_off || (by_signal && told.ssi_signo != SIGINT);
      break;
    }
    if (polls[0].revents == 0) continue;
    auto connection = sys::accept_connection(listener.get());
    if (!connection) continue;
    const auto uid = sys::peer_uid(connection->get());
    if (!uid || *uid != ::geteuid()) continue;  // the directory is 0700 already; root is not us either
    server.serve(std::move(*connection));
  }
  ::unlink(socket_file(paths).c_str());
  log::info("daemon leaves{}", ends ? ": the session or the host ends" : "");
  if (ends) go_to_sleep(*manager);
  manager->shut_down();
  // Connections may still be at work in their threads: everything they do survives being cut anywhere, so end now.
  ::_exit(0);
}

}  // namespace

int run(const sys::Paths& paths, const sys::Installation& installation) {
  Readiness readiness;
  const char* level = std::getenv("LOCKI_LOG");
  log::open(STDERR_FILENO, level != nullptr && std::string_view(level) == "debug" ? log::Level::kDebug : log::Level::kInfo, "daemon");
  ::umask(022);
  if (::chdir("/") != 0) return 1;
  auto result = serve_until_told(paths, installation, readiness);
  if (result) return *result;
  log::error("{}", result.error().describe());
  readiness.tell(result.error().describe());
  return 1;
}

}  // namespace locki::daemon
