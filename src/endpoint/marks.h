// What this sandbox's disk knows of the marks (wire::Flush): a small file beside the stat cache, on the same file system as
// the worktree, so that whatever falls back takes it along. One thread.
#pragma once

#include <string>

#include "base/result.h"

namespace locki::endpoint {

struct Mark {
  std::string boot;  // the run of the kernel in which it was made
  std::string name;  // the host's
  std::string tip;   // the branch's at that moment; whole on disk
};

class Marks {
 public:
  // "" for nowhere: then no mark can be made.
  explicit Marks(std::string file) : file_(std::move(file)) {}
  // Empty when there is none, or none that can be read.
  Mark read() const;
  Result<> write(const Mark& mark) const;

 private:
  std::string file_;
};

}  // namespace locki::endpoint
