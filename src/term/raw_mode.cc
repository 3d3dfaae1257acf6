#include "term/raw_mode.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "sys/fd.h"

namespace locki::term {
namespace {

constexpr std::array kFatal{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

// What the watcher process needs to know, in memory that it shares with us. Two slots, so that whoever reads always finds a whole one.
struct Shared {
  struct Slot {
    std::uint32_t size;
    std::array<char, 2048> text;
  };
  std::atomic<std::uint32_t> slot{0};
  std::atomic<bool> discard{false};
  std::array<Slot, 2> slots{};
};

// Everything that a signal handler uses: fixed before the handlers are installed, and never freed while they are.
struct Active {
  int tty = -1;
  termios before{}, raw{};
  Shared* shared = nullptr;
  int watcher_pipe = -1;
  pid_t watcher = -1;
  bool handlers = false;
  std::array<struct sigaction, kFatal.size()> old_fatal{};
  struct sigaction old_cont {};
};
Active active;                        // one terminal, one raw mode: signal handlers have no other way to find it
std::atomic<bool> raw_is_on{false};   // whoever turns it off gives the terminal back

bool same(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag && a.c_lflag == b.c_lflag;
}

// Async-signal-safe.
void give_back(int tty, const termios& before, Shared& shared) {
  const auto& slot = shared.slots[shared.slot.load() & 1];
  std::size_t done = 0;
  while (done < slot.size) {
    const auto n = ::write(tty, slot.text.data() + done, slot.size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  while (::tcsetattr(tty, shared.discard.load() ? TCSAFLUSH : TCSADRAIN, &before) != 0 && errno == EINTR) {
  }
}

extern "C" void locki_on_fatal_signal(int number) {
  if (raw_is_on.exchange(false)) give_back(active.tty, active.before, *active.shared);
  ::signal(number, SIG_DFL);
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, number);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(number);
}

extern "C" void locki_on_continue(int) {
  const int saved = errno;
  if (raw_is_on.load()) ::tcsetattr(active.tty, TCSADRAIN, &active.raw);
  errno = saved;
}

void restore_at_exit() {
  if (raw_is_on.exchange(false)) give_back(active.tty, active.before, *active.shared);
}

// In the child, with async-signal-safe calls only: other threads may have held locks at the fork.
[[noreturn]] void watch(int tty, int pipe) {
  ::setsid();  // out of reach of signals to our group, and tcsetattr() without job control
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  const int low = tty < pipe ? tty : pipe, high = tty < pipe ? pipe : tty;
  if (low > 0) ::close_range(0, static_cast<unsigned>(low - 1), 0);
  if (high > low + 1) ::close_range(static_cast<unsigned>(low + 1), static_cast<unsigned>(high - 1), 0);
  ::close_range(static_cast<unsigned>(high + 1), ~0U, 0);
  char byte = 0;
  ssize_t n = 0;
  while ((n = ::read(pipe, &byte, 1)) < 0 && errno == EINTR) {
  }
  // A byte: all is well. The end without one: whoever held the other end is gone.
  termios now{};
  if (n == 0 && ::tcgetattr(tty, &now) == 0 && same(now, active.raw)) give_back(tty, active.before, *active.shared);
  ::_exit(0);
}

Result<> start_watcher() {
  auto pipe = sys::make_pipe();
  if (!pipe) return fail(std::move(pipe).error());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot start the process that watches over the terminal");
  if (pid == 0) watch(active.tty, pipe->read.get());
  active.watcher = pid;
  active.watcher_pipe = pipe->write.release();
  return {};
}

void stop_watcher() {
  if (active.watcher < 0) return;
  [[maybe_unused]] const auto n = ::write(active.watcher_pipe, "", 1);
  ::close(active.watcher_pipe);
  while (::waitpid(active.watcher, nullptr, 0) < 0 && errno == EINTR) {
  }
  active.watcher = -1;
}

void install_handlers() {
  struct sigaction action {};
  ::sigfillset(&action.sa_mask);
  action.sa_handler = locki_on_fatal_signal;
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    ::sigaction(kFatal[i], nullptr, &active.old_fatal[i]);
    // nohup and friends: what is ignored stays ignored.
    if (active.old_fatal[i].sa_handler != SIG_IGN) ::sigaction(kFatal[i], &action, nullptr);
  }
  action.sa_handler = locki_on_continue;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGCONT, &action, &active.old_cont);
  active.handlers = true;
}

void remove_handlers() {
  if (!active.handlers) return;
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    struct sigaction now {};
    ::sigaction(kFatal[i], nullptr, &now);
    // Somebody may have put their own on top since.
    if (now.sa_handler == locki_on_fatal_signal) ::sigaction(kFatal[i], &active.old_fatal[i], nullptr);
  }
  ::sigaction(SIGCONT, &active.old_cont, nullptr);
  active.handlers = false;
}

termios made_raw(const termios& before, const RawMode::Options& options) {
  termios raw = before;
  ::cfmakeraw(&raw);
  if (options.signals) raw.c_lflag |= ISIG;
  if (options.output) raw.c_oflag = before.c_oflag;
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  return raw;
}

}  // namespace

Result<RawMode> RawMode::enter(int tty, Options options) {
  if (::isatty(tty) != 1) return fail(ErrorKind::kUsage, "this is not a terminal");
  if (raw_is_on.load()) return fail(ErrorKind::kExists, "the terminal is in raw mode already");
  if (::tcgetattr(tty, &active.before) != 0) return fail_errno(errno, "cannot read the terminal's settings");
  if (active.shared == nullptr) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return fail_errno(errno, "cannot get memory to remember the terminal's settings");
    active.shared = new (memory) Shared();
    std::atexit(restore_at_exit);
  }
  active.shared->slots[0].size = active.shared->slots[1].size = 0;
  active.shared->discard = false;
  active.tty = tty;
  active.raw = made_raw(active.before, options);
  TRY(start_watcher());
  raw_is_on = true;
  if (options.catch_fatal) install_handlers();
  if (::tcsetattr(tty, TCSADRAIN, &active.raw) != 0) {
    const int error = errno;
    RawMode().restore();
    return fail_errno(error, "cannot set the terminal to raw mode");
  }
  return RawMode();
}

void RawMode::set_farewell(std::string_view sequence) {
  if (!active_ || sequence.size() > sizeof(Shared::Slot::text)) return;
  auto& shared = *active.shared;
  const auto next = (shared.slot.load() + 1) & 1;
  auto& slot = shared.slots[next];
  std::memcpy(slot.text.data(), sequence.data(), sequence.size());
  slot.size = static_cast<std::uint32_t>(sequence.size());
  shared.slot.store(next);
}

void RawMode::set_discard_input(bool discard) {
  if (active_) active.shared->discard = discard;
}

void RawMode::restore() {
  if (!active_) return;
  active_ = false;
  if (raw_is_on.exchange(false)) give_back(active.tty, active.before, *active.shared);
  remove_handlers();
  stop_watcher();
}

}  // namespace locki::term
