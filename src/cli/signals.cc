#include "cli/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace locki::cli {
namespace {

std::atomic<int> write_end{-1};  // the handler has no other way to find it

extern "C" void locki_note_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  // A full pipe drops the signal: it holds thousands that nobody has read.
  [[maybe_unused]] const auto n = ::write(write_end.load(), &byte, 1);
  errno = saved;
}

}  // namespace

Result<SignalPipe> SignalPipe::install() {
  SignalPipe signals;
  TRY_ASSIGN(signals.pipe_, sys::make_pipe());
  TRY(sys::set_nonblocking(signals.pipe_.write.get(), true));
  write_end = signals.pipe_.write.get();
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = locki_note_signal;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &signals.before_[i]);
    // nohup and background jobs: what is ignored stays ignored.
    if (signals.before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
  }
  return signals;
}

SignalPipe::SignalPipe(SignalPipe&& other) noexcept : pipe_(std::move(other.pipe_)), before_(other.before_) {}

SignalPipe::~SignalPipe() {
  if (!pipe_.write) return;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  write_end = -1;
}

int SignalPipe::next() {
  unsigned char number = 0;
  const auto n = sys::read_some(pipe_.read.get(), &number, 1);
  return n && *n == 1 ? number : 0;
}

void SignalPipe::wake_up() {
  const unsigned char zero = 0;
  [[maybe_unused]] const auto n = ::write(pipe_.write.get(), &zero, 1);
}

}  // namespace locki::cli
