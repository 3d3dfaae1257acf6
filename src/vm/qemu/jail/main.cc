// libexec/locki/jail: runs one program (QEMU) where it can do no harm, and stays beside it as process 1 of the jail.
//
// Started by the daemon, as an ordinary user or as root; single-threaded; what it is told is in options.h. It has ended, or has
// reported an error, by the time the program runs: the caller's child is short-lived, the jail belongs to nobody and outlives the daemon.
// Whoever ends process 1 ends everything in the jail (pid_namespaces(7)), and the kernel takes the mounts and the network with it.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "vm/qemu/jail/broker.h"
#include "vm/qemu/jail/namespaces.h"
#include "vm/qemu/jail/options.h"
#include "vm/qemu/jail/privileges.h"
#include "vm/qemu/jail/report.h"
#include "vm/qemu/jail/tree.h"

namespace jail {

namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) die(errno, "cannot make a pipe");
  return ends;
}

// Field 22 of /proc/PID/stat. The second, the program's name, is ours and has no blanks.
std::string start_time(pid_t pid) {
  const int fd = ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  std::array<char, 1024> buffer{};
  const ssize_t n = fd < 0 ? -1 : ::read(fd, buffer.data(), buffer.size());
  if (n <= 0) die(errno, "cannot read the state of a process");
  ::close(fd);
  std::string text(buffer.data(), static_cast<std::size_t>(n));
  std::size_t at = 0;
  for (int field = 1; field < 22; ++field) at = text.find(' ', at) + 1;
  return text.substr(at, text.find(' ', at) - at);
}

// The program must not run before the daemon can find it again: the file is complete first.
void write_pid_file(pid_t first) {
  const std::string line = std::to_string(first) + " " + start_time(first) + "\n";
  if (::write(kPidFd, line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fsync(kPidFd) != 0) {
    die(errno, "cannot write the pid file");
  }
}

// Closes all but the given descriptors (sorted), from `first` on.
void close_others(unsigned first, std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  for (const int fd : keep) {
    const auto number = static_cast<unsigned>(fd);
    if (number < first) continue;
    if (number > first && ::syscall(SYS_close_range, first, number - 1, 0) != 0) die(errno, "cannot close descriptors");
    first = number + 1;
  }
  if (::syscall(SYS_close_range, first, ~0U, 0) != 0) die(errno, "cannot close descriptors");
}

[[noreturn]] void become_program(const Options& options, int console, int messages) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(console, 1) < 0 || ::dup2(messages, 2) < 0) die(errno, "cannot place descriptors");
  auto keep = options.keep;
  keep.push_back(kReportFd);  // close-on-exec: its end tells the caller that the program runs
  close_others(3, keep);
  // At a logout or a shutdown every process of the session is told to end at once; QEMU would take that for a power switch, before the daemon
  // has put the machine to sleep. It sets handlers for these but never unblocks them. The daemon ends it over QMP, or with SIGKILL; and
  // process 1 of the jail, having no handlers, gets no signal but that one either (pid_namespaces(7)).
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT}) ::sigaddset(&ends, number);
  if (::sigprocmask(SIG_BLOCK, &ends, nullptr) != 0) die(errno, "cannot block signals");
  filter_program();
  char language[] = "LC_ALL=C.UTF-8";
  char* environment[] = {language, nullptr};
  ::execve(options.program[0], options.program.data(), environment);
  die(errno, "cannot run ", options.program[0]);
}

[[noreturn]] void run_first_process(const Options& options, int go) {
  enter_other_namespaces();
  move_into_room(options);
  // Another process of the jail, of the same uid, must not be able to trace this one; set before the capabilities go.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) die(errno, "cannot become undumpable");
  drop_privileges();
  char byte = 0;
  if (::read(go, &byte, 1) != 1) die(ECANCELED, "the launcher has ended");
  const auto console = make_pipe();
  const auto messages = make_pipe();
  Running running;
  running.program = ::fork();
  if (running.program < 0) die(errno, "cannot fork");
  if (running.program == 0) become_program(options, console[1], messages[1]);
  running.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, running.program, 0));
  if (running.pidfd < 0) die(errno, "cannot hold the program");
  running.console = console[0];
  running.messages = messages[0];
  close_others(3, {kExitFd, kBrokerFd, kConsoleFd, kMessagesFd, running.pidfd, running.console, running.messages});
  filter_broker();
  run_broker(options, running);
}

}  // namespace

}  // namespace jail

int main(int argc, char** argv) {
  using namespace jail;
  ::umask(077);
  ::signal(SIGPIPE, SIG_IGN);
  const Options options = parse(argc, argv);
  ::fcntl(kReportFd, F_SETFD, FD_CLOEXEC);
  enter_user_namespace();
  if (::unshare(CLONE_NEWPID) != 0) die(errno, "cannot make a namespace: pid");
  const auto go = make_pipe();
  const pid_t first = ::fork();
  if (first < 0) die(errno, "cannot fork");
  if (first == 0) {
    ::close(go[1]);
    ::close(kPidFd);
    run_first_process(options, go[0]);
  }
  write_pid_file(first);
  // Nothing to clean up; and what runs at an exit may want threads, which unshare(CLONE_NEWPID) has made impossible.
  ::_exit(::write(go[1], "", 1) == 1 ? 0 : 1);
}
