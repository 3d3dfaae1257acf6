// Notices that a ref of the host's repository may have changed, so that nobody has to look every moment. Watches directories only, a few of
// them: their events say "look", nothing more, and others' writes in there (index.lock) cost a look each. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "sys/watch.h"

namespace locki::mirror {

class RefWatch {
 public:
  RefWatch() = default;  // armed() is false: look often
  static Result<RefWatch> make(std::filesystem::path common_dir, std::string branch);

  int fd() const { return watcher_ ? watcher_->fd() : -1; }
  // To be called again now and then: directories of refs come and go.
  void arm();
  // False while a place where the ref can be written is not watched.
  bool armed() const { return armed_; }
  // Something happened since; does not block.
  bool drain();

 private:
  bool add(const std::string& path);

  std::filesystem::path common_dir_;
  std::string branch_;
  std::optional<sys::TreeWatcher> watcher_;
  bool armed_ = false;
};

}  // namespace locki::mirror
