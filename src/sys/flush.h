// Writes what is only in memory to its disk, beside the caller: it may take seconds, and a thread of its own waits for it.
// Also which run of the kernel this is. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

class Flush {
 public:
  // Of the file systems that these descriptors are on, each once. They are duplicated; the caller keeps its own.
  static Result<Flush> begin(const std::vector<int>& descriptors);
  // Only these files beneath a directory, as far as they are there, and the names in the directories that hold them: a
  // file system may have much more in memory that is nobody's business. No symlink is followed.
  static Result<Flush> begin(int directory, std::vector<std::string> paths);
  // Readable once it is over.
  int fd() const { return event_.get(); }
  bool over() const;
  // When over: what failed, if anything. A kernel says there, too, when something written earlier was lost.
  Result<> outcome() const;

 private:
  struct Work;
  static Result<Flush> start(std::shared_ptr<Work> work);
  Flush(std::shared_ptr<Work> work, Fd event) : work_(std::move(work)), event_(std::move(event)) {}
  std::shared_ptr<Work> work_;  // the thread's as well: it may outlive us
  Fd event_;
};

// /proc/sys/kernel/random/boot_id; "" when it cannot be read. LOCKI_BOOT_ID in the environment stands in for it in tests.
std::string boot_id();

}  // namespace locki::sys
