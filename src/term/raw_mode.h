// Raw mode for one terminal, given back whatever happens.
//
// Given back by: leaving the scope; exit(); a fatal signal (INT, TERM, HUP, QUIT, SEGV, BUS, FPE, ILL, ABRT: restored, then
// raised again with its default action); and SIGKILL, through a small watcher process in a session of its own that waits for our end of a pipe to close. The
// watcher restores only while the terminal still has exactly the settings made here, so it never disturbs a shell that was faster.
// SIGCONT makes the terminal raw again.
//
// One at a time in a process (the terminal is one, too). Enter before other threads change signal actions; any thread may restore.
#pragma once

#include <string_view>

#include "base/result.h"

namespace locki::term {

class RawMode {
 public:
  struct Options {
    bool signals = false;  // keep Ctrl-C, Ctrl-Z and Ctrl-\ working as signals (the picker); a session passes them on as bytes
    bool output = false;   // keep the terminal's output processing (\n as a new line)
    bool catch_fatal = true;
  };

  // kUsage when `tty` is no terminal, kExists when raw mode is on already.
  static Result<RawMode> enter(int tty, Options options);
  static Result<RawMode> enter(int tty) { return enter(tty, Options{}); }

  RawMode(RawMode&& other) noexcept : active_(other.active_) { other.active_ = false; }
  RawMode& operator=(RawMode&&) = delete;
  ~RawMode() { restore(); }

  // What to write to the terminal before it is given back, by whoever does it (ScreenFilter::farewell()). At most 2 KiB, else ignored.
  void set_farewell(std::string_view sequence);
  // Unread input is thrown away on restore: answers to queries must not reach the shell.
  void set_discard_input(bool discard);
  // Idempotent.
  void restore();

 private:
  RawMode() = default;
  bool active_ = true;
};

}  // namespace locki::term
