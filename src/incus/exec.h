// Running a command inside an instance with our descriptors as its stdin, stdout and stderr: Client::exec() of client.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace locki::incus {

struct ExecRequest {
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;  // on top of the instance's environment.* and a default PATH, HOME, USER, LANG
  std::string cwd;                                 // empty: /root
  std::uint32_t uid = 0, gid = 0;
  bool interactive = false;  // a terminal: one stream, `in` and `out` only
  int width = 0, height = 0;
};

// Borrowed until exec() returns; any kind of descriptor, none is made non-blocking. -1: an empty stdin, a discarded output.
struct ExecIo {
  int in = -1, out = -1, err = -1;
};

struct ExecResult {
  int status = 0;            // 0..255; 128+n when a signal ended it, as a shell says
  bool out_closed = false;   // our `out` or `err` was closed by its reader before the command's end (`| head`)
  bool silent = false;       // nothing came out of it: with 126 or 127 most likely there was no such program
};

// The hand on a running exec(). Thread-safe; what is asked before the command runs is delivered once it does. One exec() each.
class ExecControl {
 public:
  ExecControl();
  ~ExecControl();
  ExecControl(const ExecControl&) = delete;
  ExecControl& operator=(const ExecControl&) = delete;

  void resize(int width, int height);
  void signal(int number);
  // exec() returns kCancelled soon; the command is killed (SIGKILL by incusd, when the control connection ends).
  void cancel();

  struct Impl;  // exec_control.h, for incus/ only
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Short helper commands whose output is wanted in memory.
struct RunOptions {
  std::map<std::string, std::string> environment;
  std::string input;
  std::string cwd;
  std::uint32_t uid = 0, gid = 0;
  std::chrono::milliseconds timeout{60'000};
  std::size_t max_output = 4 << 20;  // each of stdout and stderr; more is kNoSpace and ends the command
};
struct RunResult {
  int status = 0;
  std::string out, err;
};

}  // namespace locki::incus
