// Recursive inotify over directories that the owner adds. Owned by one thread; the descriptor goes into its poll loop.
//
// The owner adds every directory it is about to list, before listing it, by a descriptor it opened safely: nothing that
// appears in between is missed, and no path is ever resolved here. What is not added (`.git`, ignored directories)
// costs nothing. A new directory shows up as a dirty path; the owner's rescan of it adds it and what it holds.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

struct WatchReport {
  std::set<std::string> dirty;  // paths relative to the root; "" is the root's own list
  bool overflow = false;        // events were lost: everything may have changed
  bool root_gone = false;       // the root was moved or deleted
};

class TreeWatcher {
 public:
  static Result<TreeWatcher> make();

  int fd() const { return inotify_.get(); }
  // Watches the directory behind `directory_fd` under that name ("" for the root). Again is fine, also under a new
  // name. kNoSpace when the limit of watches (fs.inotify.max_user_watches) is reached: from then on complete() is false
  // and the owner must look by itself.
  Result<> add(std::string_view path, int directory_fd);
  // Forgets it and all beneath it.
  void remove(std::string_view path);
  // What happened since; does not block. At most `max_dirty` paths, beyond that it is an overflow.
  Result<WatchReport> drain(std::size_t max_dirty = 100'000);
  // False once a directory could not be watched. A full scan that succeeds in adding everything after reset() makes it
  // true again.
  bool complete() const { return complete_; }
  std::size_t count() const { return by_path_.size(); }
  // Forgets everything: before a full scan after an overflow.
  Result<> reset();

 private:
  void forget(int wd);

  Fd inotify_;
  std::map<int, std::string> by_wd_;
  std::map<std::string, int, std::less<>> by_path_;
  bool complete_ = true;
};

}  // namespace locki::sys
