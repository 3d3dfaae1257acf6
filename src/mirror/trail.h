// What was agreed, or was to be agreed, since both sides last had everything on disk: by path every version it went
// through, oldest first, and the same for the branch's tip. Whoever comes back from a crash shows one of these, and has
// then fallen back (mirror/recovery.h). A value in memory; BaseStore keeps it on disk. One thread.
//
// Notes are numbered. A mark says up to which number everything that was agreed is on the disks of both sides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mirror/state.h"

namespace locki::mirror {

// The versions of one thing. The first is what was agreed at the mark.
template <class Value>
class Versions {
 public:
  struct Item {
    Value value;
    bool agreed = false;  // false: one side was to get it, and perhaps has
    std::uint64_t at = 0;
    bool lost = false;  // a side fell back behind it, and is to get it again
    bool operator==(const Item&) const = default;
  };

  void intend(const Value& before, const Value& to, std::uint64_t at) {
    begin(before);
    if (!(items_.back().value == to)) add({to, false, at});
  }
  void agree(const Value& before, const Value& to, std::uint64_t at) {
    begin(before);
    if (items_.back().value == to) items_.back() = {to, true, at};
    else add({to, true, at});
  }
  // Drops what both sides have left behind for good; `idle`: nothing was on its way then, so what was not agreed by
  // then has not come anywhere. True when only what both have is left.
  bool durable(std::uint64_t position, bool idle) {
    if (idle) std::erase_if(items_, [&](const Item& item) { return !item.agreed && item.at <= position; });
    const auto last = std::find_if(items_.rbegin(), items_.rend(),
                                   [&](const Item& item) { return item.agreed && item.at <= position; });
    if (last != items_.rend()) items_.erase(items_.begin(), last.base() - 1);
    return items_.size() <= 1;
  }
  // A side has come back with this, and stays there until it gets what is newer once more.
  void fall_back(const Value& value) {
    auto found = find(value);
    if (!found) items_.insert(items_.begin(), {value, true, 0}), found = 0;
    items_[*found].agreed = true;
    for (std::size_t i = *found + 1; i < items_.size(); ++i) items_[i].agreed = false, items_[i].lost = true;
  }
  // The newest with that value.
  std::optional<std::size_t> find(const Value& value) const {
    for (std::size_t i = items_.size(); i-- > 0;)
      if (items_[i].value == value) return i;
    return std::nullopt;
  }
  // The newest that both agreed on. There always is one.
  std::size_t agreed() const {
    std::size_t i = items_.size() - 1;
    while (i > 0 && !items_[i].agreed) --i;
    return i;
  }
  const std::vector<Item>& items() const { return items_; }
  void restore(std::vector<Item> items) { items_ = std::move(items); }
  bool operator==(const Versions&) const = default;

 private:
  // Between two marks nothing goes through more versions that a side could come back with: the oldest and these.
  static constexpr std::size_t kMost = 64;

  void begin(const Value& before) {
    if (items_.empty()) items_.push_back({before, true, 0});
  }
  void add(Item item) {
    if (items_.size() == kMost) items_.erase(items_.begin() + 1);
    items_.push_back(std::move(item));
  }

  std::vector<Item> items_;
};

using EntryVersions = Versions<std::optional<Entry>>;
using TipVersions = Versions<std::string>;

class Trail {
 public:
  void intend(const std::string& path, const std::optional<Entry>& before, const std::optional<Entry>& to);
  void agree(const std::string& path, const std::optional<Entry>& before, const std::optional<Entry>& to);
  void intend_tip(const std::string& before, const std::string& to) { tips_.intend(before, to, ++position_); }
  void agree_tip(const std::string& before, const std::string& to) { tips_.agree(before, to, ++position_); }

  void fall_back(const std::string& path, const std::optional<Entry>& shown);
  void fall_back_tip(const std::string& shown) { tips_.fall_back(shown); }

  // The number of the last note.
  std::uint64_t position() const { return position_; }
  // Both sides have on disk what was agreed up to that note; `idle`: and nothing was on its way when it was asked for.
  void durable(std::uint64_t position, bool idle);
  void clear();

  bool empty() const { return paths_.empty() && tips_.items().empty(); }
  std::size_t size() const { return size_; }  // versions of paths
  const std::map<std::string, EntryVersions, std::less<>>& paths() const { return paths_; }
  const TipVersions& tips() const { return tips_; }

  // As it was stored.
  void restore(std::uint64_t position, std::map<std::string, EntryVersions, std::less<>> paths, TipVersions tips);
  bool operator==(const Trail&) const = default;

 private:
  std::uint64_t position_ = 0;
  std::size_t size_ = 0;
  std::map<std::string, EntryVersions, std::less<>> paths_;
  TipVersions tips_;
};

}  // namespace locki::mirror
