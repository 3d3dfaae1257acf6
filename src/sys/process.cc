#include "sys/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace locki::sys {

using std::chrono::milliseconds;

std::string Exit::describe() const {
  if (signal != 0) return fmt::format("was killed by SIG{}", sigabbrev_np(signal) != nullptr ? sigabbrev_np(signal) : "?");
  return fmt::format("exited with status {}", status);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    this->~Child();
    pid_ = std::exchange(other.pid_, 0);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() {
  if (pid_ > 0) {
    (void)signal(SIGKILL);
    (void)wait();
  }
  pidfd_.reset();
}

Result<> Child::signal(int number) {
  if (pid_ <= 0) return fail(ErrorKind::kNotFound, "the process has ended");
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0) return fail_errno(errno, "cannot signal a process");
  return {};
}

Result<Exit> Child::wait() {
  TRY_ASSIGN(auto exit, wait_for(milliseconds(-1)));
  return *exit;
}

Result<std::optional<Exit>> Child::wait_for(milliseconds timeout) {
  if (pid_ <= 0) return fail(ErrorKind::kNotFound, "the process has ended");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    int wait_ms = -1;
    if (timeout.count() >= 0) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
      wait_ms = static_cast<int>(std::max<long>(0, static_cast<long>(left.count())));
    }
    pollfd p{pidfd_.get(), POLLIN, 0};
    const int n = ::poll(&p, 1, wait_ms);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot wait for a process");
    if (n == 0) return std::optional<Exit>{};
    break;
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "cannot wait for a process");
  }
  pid_ = 0;
  Exit exit;
  if (WIFSIGNALED(status)) {
    exit.signal = WTERMSIG(status);
    exit.status = 128 + exit.signal;
  } else {
    exit.status = WEXITSTATUS(status);
  }
  return std::optional<Exit>{exit};
}

Result<Exit> Child::stop(milliseconds grace) {
  (void)signal(SIGTERM);
  TRY_ASSIGN(auto ended, wait_for(grace));
  if (ended) return *ended;
  (void)signal(SIGKILL);
  return wait();
}

namespace {

// Everything the child needs, laid out before the fork: after it only async-signal-safe calls are made.
struct Prepared {
  std::vector<char*> argv, envp;
  std::vector<std::string> env_storage;
  std::vector<std::pair<int, int>> fds;  // source, number in the child
};

Prepared prepare(const ProcessSpec& spec) {
  Prepared p;
  p.argv.push_back(const_cast<char*>(spec.program.c_str()));
  for (const auto& arg : spec.args) p.argv.push_back(const_cast<char*>(arg.c_str()));
  p.argv.push_back(nullptr);
  p.env_storage.reserve(spec.environment.size());
  for (const auto& [key, value] : spec.environment) p.env_storage.push_back(key + "=" + value);
  for (auto& entry : p.env_storage) p.envp.push_back(entry.data());
  p.envp.push_back(nullptr);
  p.fds = {{spec.in, 0}, {spec.out, 1}, {spec.err, 2}};
  for (const auto& [number, fd] : spec.extra_fds) p.fds.emplace_back(fd, number);
  return p;
}

// Sources are first moved above every target, so that no move overwrites one still to come.
bool place_fds(std::vector<std::pair<int, int>>& fds) {
  // Whatever we were started with, or a library opened without the flag, ends at the exec (Linux 5.11).
  if (::syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) != 0) return false;
  int highest = 2;
  for (const auto& [source, target] : fds) highest = std::max({highest, source, target});
  for (auto& [source, target] : fds) {
    const int fd = source >= 0 ? source : ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) return false;
    source = ::fcntl(fd, F_DUPFD_CLOEXEC, highest + 1);
    if (source < 0) return false;
  }
  for (const auto& [source, target] : fds) {
    if (::dup2(source, target) < 0) return false;
  }
  return true;
}

void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int i = 1; i < 65; ++i) ::sigaction(i, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void run_child(const ProcessSpec& spec, Prepared& p, int report_fd, pid_t parent) {
  reset_signals();
  int failed = 0;
  // The report descriptor must not be hit by a placement: move it out of the way first.
  int highest = 64;
  for (const auto& [source, target] : p.fds) highest = std::max(highest, target);
  const int report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, highest + 1);
  if (spec.new_session && ::setsid() < 0) failed = errno;
  if (failed == 0 && spec.parent_death_signal != 0 && (::prctl(PR_SET_PDEATHSIG, spec.parent_death_signal) != 0 || ::getppid() != parent)) failed = ESRCH;
  if (failed == 0 && ::chdir(spec.directory.c_str()) != 0) failed = errno;
  if (failed == 0 && !place_fds(p.fds)) failed = errno;
  if (failed == 0) {
    ::execve(spec.program.c_str(), p.argv.data(), p.envp.data());
    failed = errno;
  }
  [[maybe_unused]] const auto n = ::write(report, &failed, sizeof failed);
  ::_exit(127);
}

}  // namespace

Result<Child> spawn(const ProcessSpec& spec) {
  if (spec.program.empty() || spec.program[0] != '/') {
    return fail(ErrorKind::kFailed, "not an absolute program path: " + printable(spec.program));
  }
  Prepared prepared = prepare(spec);
  TRY_ASSIGN(Pipe report, make_pipe());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot start a process");
  if (pid == 0) run_child(spec, prepared, report.write.get(), parent);
  report.write.reset();
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  Child child(pid, std::move(pidfd));
  int failed = 0;
  ssize_t n = 0;
  do {
    n = ::read(report.read.get(), &failed, sizeof failed);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof failed) {
    (void)child.wait();
    return fail_errno(failed, "cannot run " + printable(spec.program));
  }
  return child;
}

Result<Output> run(ProcessSpec spec, std::string_view input, RunLimits limits) {
  TRY_ASSIGN(Pipe in, make_pipe());
  TRY_ASSIGN(Pipe out, make_pipe());
  TRY_ASSIGN(Pipe err, make_pipe());
  if (spec.in < 0) spec.in = in.read.get();
  if (spec.out < 0) spec.out = out.write.get();
  spec.err = err.write.get();
  TRY_ASSIGN(Child child, spawn(spec));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  TRY(set_nonblocking(in.write.get(), true));
  if (input.empty()) in.write.reset();

  Output result;
  const auto deadline = std::chrono::steady_clock::now() + limits.timeout;
  std::array<std::uint8_t, 65536> buffer;
  const auto drain = [&](Fd& fd, std::string& into, bool keep_tail) -> Result<> {
    TRY_ASSIGN(const std::size_t n, read_some(fd.get(), buffer.data(), buffer.size()));
    if (n == 0) fd.reset();
    into.append(reinterpret_cast<const char*>(buffer.data()), n);
    if (keep_tail && into.size() > 131072) into.erase(0, into.size() - 65536);
    if (!keep_tail && into.size() > limits.max_output) return fail(ErrorKind::kNoSpace, shown_command(spec) + ": too much output");
    return {};
  };
  while (out.read || err.read) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return fail(ErrorKind::kTimeout, fmt::format("{} did not end within {} s", shown_command(spec), limits.timeout.count() / 1000));
    std::array<pollfd, 3> polls{{{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {in.write.get(), POLLOUT, 0}}};
    const int n = ::poll(polls.data(), polls.size(), static_cast<int>(std::min<long>(left, 1 << 30)));
    if (n < 0 && errno != EINTR) return fail_errno(errno, "cannot poll");
    if (n <= 0) continue;
    if (polls[0].revents != 0) TRY(drain(out.read, result.out, false));
    if (polls[1].revents != 0) TRY(drain(err.read, result.err, true));
    if (polls[2].revents != 0) {
      const ssize_t written = ::write(in.write.get(), input.data(), input.size());
      if (written > 0) input.remove_prefix(static_cast<std::size_t>(written));
      if (input.empty() || (written < 0 && errno != EAGAIN && errno != EINTR)) in.write.reset();
    }
  }
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
  TRY_ASSIGN(auto exit, child.wait_for(std::max(left, milliseconds(0))));
  if (!exit) return fail(ErrorKind::kTimeout, fmt::format("{} did not end within {} s", shown_command(spec), limits.timeout.count() / 1000));
  result.exit = *exit;
  return result;
}

Result<std::string> run_ok(ProcessSpec spec, std::string_view input, RunLimits limits) {
  const std::string command = shown_command(spec);
  TRY_ASSIGN(Output output, run(std::move(spec), input, limits));
  if (!output.exit.ok()) {
    std::string_view tail = trim(output.err);
    if (tail.size() > 2000) tail.remove_prefix(tail.size() - 2000);
    std::string message = fmt::format("{} {}", command, output.exit.describe());
    for (const auto& line : split_lines(tail)) message += "\n  " + printable(line);
    return fail(ErrorKind::kFailed, std::move(message));
  }
  return std::move(output.out);
}

Fd make_words() { return Fd(::memfd_create("words", MFD_CLOEXEC)); }

std::string read_words(const Fd& words) {
  constexpr off_t kMost = 4096;
  struct stat st {};
  if (!words || ::fstat(words.get(), &st) != 0) return "";
  std::string text(static_cast<std::size_t>(std::min(st.st_size, kMost)), '\0');
  const ssize_t n = ::pread(words.get(), text.data(), text.size(), st.st_size - static_cast<off_t>(text.size()));
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return std::string(trim(text));
}

Result<std::string> find_program(std::string_view name) {
  for (const std::string_view directory : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::string path = fmt::format("{}/{}", directory, name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail(ErrorKind::kNotFound, fmt::format("the program {} is not installed", printable(name)));
}

std::map<std::string, std::string> clean_environment() {
  std::map<std::string, std::string> environment{
      {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"LANG", "C.UTF-8"}, {"LC_ALL", "C.UTF-8"}};
  if (const char* home = ::getenv("HOME"); home != nullptr) environment["HOME"] = home;
  return environment;
}

std::string shown_command(const ProcessSpec& spec) {
  std::string shown = spec.program.substr(spec.program.rfind('/') + 1);
  for (const auto& arg : spec.args) {
    const bool plain = !arg.empty() && std::all_of(arg.begin(), arg.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || std::strchr("-_=./:,+@%^", c) != nullptr;
    });
    shown += ' ';
    shown += plain ? arg : "'" + printable(arg, 200) + "'";
    if (shown.size() > 600) return shown + " …";
  }
  return shown;
}

}  // namespace locki::sys
