// Notices when the repository's head, refs or ignore rules change. Never reports what git writes all the time (the
// index, objects). One thread.
#pragma once

#include "base/result.h"
#include "sys/beneath.h"
#include "sys/watch.h"

namespace locki::endpoint {

class GitWatch {
 public:
  static Result<GitWatch> make();
  int fd() const { return watcher_.fd(); }
  // Looks at `.git` of this root anew: after it appeared, and after each change (refs may be in new directories).
  void arm(const sys::Directory& root);
  // False when there is no `.git` directory to watch (absent, or a file that points elsewhere): the owner looks from
  // time to time.
  bool armed() const { return armed_; }

  struct Changes {
    bool head = false;   // HEAD or some ref
    bool rules = false;  // info/exclude
  };
  Changes drain();

 private:
  explicit GitWatch(sys::TreeWatcher watcher) : watcher_(std::move(watcher)) {}
  void add_refs(const sys::Directory& git, const std::string& path, int depth);

  sys::TreeWatcher watcher_;
  bool armed_ = false;
  std::size_t directories_ = 0;
};

}  // namespace locki::endpoint
