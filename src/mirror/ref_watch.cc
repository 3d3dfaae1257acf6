#include "mirror/ref_watch.h"

#include <fcntl.h>

#include "sys/file.h"

namespace locki::mirror {

Result<RefWatch> RefWatch::make(std::filesystem::path common_dir, std::string branch) {
  RefWatch made;
  made.common_dir_ = std::move(common_dir);
  made.branch_ = std::move(branch);
  TRY_ASSIGN(made.watcher_, sys::TreeWatcher::make());
  made.arm();
  return made;
}

bool RefWatch::add(const std::string& path) {
  const auto directory = sys::open_file(common_dir_ / path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  return directory && watcher_->add(path, directory->get()).has_value();
}

void RefWatch::arm() {
  if (!watcher_) return;
  // packed-refs is replaced in the git directory itself; a loose ref is a file in a directory of refs/heads that may not be there while the
  // ref is packed: then its parent says when it comes. With reftable there is one directory.
  const bool top = add("");
  std::string path = "refs/heads";
  const bool loose = add(path);
  for (std::size_t at = 0, end = branch_.find('/'); loose && end != std::string::npos; at = end + 1, end = branch_.find('/', at)) {
    path += "/" + branch_.substr(at, end - at);
    if (!add(path)) break;
  }
  armed_ = top && (add("reftable") || loose);
}

bool RefWatch::drain() {
  if (!watcher_) return false;
  const auto report = watcher_->drain();
  const bool lost = !report || report->overflow || report->root_gone;
  if (lost) (void)watcher_->reset();
  if (lost || !report->dirty.empty()) arm();
  return lost || !report->dirty.empty();
}

}  // namespace locki::mirror
