#include "mirror/trail.h"

#include <utility>

namespace locki::mirror {

void Trail::intend(const std::string& path, const std::optional<Entry>& before, const std::optional<Entry>& to) {
  EntryVersions& versions = paths_[path];
  size_ -= versions.items().size();
  versions.intend(before, to, ++position_);
  size_ += versions.items().size();
}

void Trail::agree(const std::string& path, const std::optional<Entry>& before, const std::optional<Entry>& to) {
  EntryVersions& versions = paths_[path];
  size_ -= versions.items().size();
  versions.agree(before, to, ++position_);
  size_ += versions.items().size();
}

void Trail::fall_back(const std::string& path, const std::optional<Entry>& shown) {
  EntryVersions& versions = paths_[path];
  size_ -= versions.items().size();
  versions.fall_back(shown);
  size_ += versions.items().size();
}

void Trail::durable(std::uint64_t position, bool idle) {
  size_ = 0;
  for (auto at = paths_.begin(); at != paths_.end();) {
    if (at->second.durable(position, idle)) {
      at = paths_.erase(at);
    } else {
      size_ += at->second.items().size();
      ++at;
    }
  }
  if (tips_.durable(position, idle)) tips_ = {};
}

void Trail::clear() {
  paths_.clear();
  tips_ = {};
  size_ = 0;
}

void Trail::restore(std::uint64_t position, std::map<std::string, EntryVersions, std::less<>> paths, TipVersions tips) {
  position_ = position;
  paths_ = std::move(paths);
  tips_ = std::move(tips);
  size_ = 0;
  for (const auto& [path, versions] : paths_) size_ += versions.items().size();
}

}  // namespace locki::mirror
