// Starting programs. What to run is a value (ProcessSpec), apart from running it, so a test compares whole argument vectors.
// The child gets exactly the descriptors, environment and directory of its spec: everything else is closed or empty.
// spawn() is safe in a process with threads (vfork semantics are not used; only async-signal-safe calls between fork and exec).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

struct ProcessSpec {
  std::string program;                             // an absolute path: nothing is looked up when it runs
  std::vector<std::string> args;                   // without argv[0]
  std::map<std::string, std::string> environment;  // the whole of it
  std::string directory = "/";
  // Descriptors for 0, 1 and 2; -1 means /dev/null. Further ones keep the number that is the key here.
  int in = -1, out = -1, err = -1;
  std::map<int, int> extra_fds;  // number in the child -> descriptor of ours
  bool new_session = false;      // setsid(): survives our terminal
  int parent_death_signal = 0;   // what it gets when we end, however we end (PR_SET_PDEATHSIG); 0: nothing
};

// The exit of a child: a status of 0..255, or the signal that ended it.
struct Exit {
  int status = 0;
  int signal = 0;
  bool ok() const { return status == 0 && signal == 0; }
  std::string describe() const;  // "exited with status 3", "was killed by SIGKILL"
};

// A running child, held through a pidfd. Destroying it while it runs kills it (SIGKILL) and reaps it; detach() lets it live.
class Child {
 public:
  Child() = default;
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable when it has ended
  bool running() const { return pid_ > 0; }
  Result<> signal(int number);
  Result<Exit> wait();  // blocks
  Result<std::optional<Exit>> wait_for(std::chrono::milliseconds timeout);
  // TERM, then KILL after the grace time.
  Result<Exit> stop(std::chrono::milliseconds grace);
  void detach() { pid_ = 0; pidfd_.reset(); }

 private:
  pid_t pid_ = 0;
  Fd pidfd_;
};

// kNotFound / kPermission when the program cannot be executed: reported here, not as an exit status.
Result<Child> spawn(const ProcessSpec& spec);

struct Output {
  Exit exit;
  std::string out, err;
};
struct RunLimits {
  std::chrono::milliseconds timeout{60'000};
  std::size_t max_output = 64 << 20;  // stdout beyond it is an error; stderr keeps its last 64 KiB
};
// Runs to the end, feeding `input`, collecting both outputs. A non-zero exit is not an error here. A spec that brings a descriptor for 0 or
// 1 keeps it: then nothing is fed, or collected, there.
Result<Output> run(ProcessSpec spec, std::string_view input = {}, RunLimits limits = {});
// The same, but a non-zero exit is an error that carries the command, its exit and the tail of its stderr. Returns stdout.
Result<std::string> run_ok(ProcessSpec spec, std::string_view input = {}, RunLimits limits = {});

// For a child that streams: an anonymous file for its stderr (give it as spec.err), and, once it has ended, the last of what it said, at most
// 4 KiB. An invalid descriptor says nothing.
Fd make_words();
std::string read_words(const Fd& words);

// Absolute path of a system program, from fixed directories (/usr/local/{s,}bin, /usr/{s,}bin, /{s,}bin), never $PATH.
Result<std::string> find_program(std::string_view name);

// PATH of those directories, LANG=C.UTF-8, HOME: what helper programs get unless a spec says otherwise.
std::map<std::string, std::string> clean_environment();

// For messages: the words of a command, those with unusual characters quoted, untrusted bytes made printable.
std::string shown_command(const ProcessSpec& spec);

}  // namespace locki::sys
