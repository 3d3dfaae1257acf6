// Commands inside a sandbox whose output the bench reads, and sandboxes of its own. What comes out is a sandbox's: bounded, and printable() before it is
// shown.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/context.h"
#include "cli/opened.h"
#include "sys/fd.h"

namespace locki::cli {

// In the worktree, to its end. Gives its stdout (at most 1 MiB of it); a status other than 0 is an error.
Result<std::string> run_inside(Context& context, const OpenedSandbox& sandbox, std::vector<std::string> argv);

// One that goes on while its lines are read; it is killed when the object goes.
class RunningInside {
 public:
  static Result<std::unique_ptr<RunningInside>> start(Context& context, const OpenedSandbox& sandbox, std::vector<std::string> argv);
  ~RunningInside();
  RunningInside(const RunningInside&) = delete;
  RunningInside& operator=(const RunningInside&) = delete;

  // The next one, without its end. kTimeout; kUnavailable when the command has ended.
  Result<std::string> line(std::chrono::milliseconds patience);

 private:
  RunningInside(std::unique_ptr<Execution> execution, sys::Pipe out) : execution_(std::move(execution)), out_(std::move(out)) {}

  std::unique_ptr<Execution> execution_;
  sys::Pipe out_;
  std::thread thread_;  // uses execution_ and out_.write
};

// A sandbox of the bench's own, with its branch: both are gone when the object is, also when something failed. What cannot be removed is told.
class ThrowAway {
 public:
  ThrowAway(Context& context, const std::string& what);  // its name; nothing is made yet
  ~ThrowAway();
  ThrowAway(const ThrowAway&) = delete;
  ThrowAway& operator=(const ThrowAway&) = delete;

  const std::string& name() const { return name_; }
  Result<json::object> make();  // what `sandbox.new` answers
  // A session of it, until remove().
  Result<OpenedSandbox> open();
  Result<> remove();

 private:
  Context& context_;
  std::string name_;
  bool there_ = false;
  std::optional<Opened> opened_;
};

}  // namespace locki::cli
