// What both sides last agreed on, on disk: a snapshot, and a journal of what was agreed since. Each change is one
// append, so a worker that is killed anywhere continues where it was; a journal's torn end is dropped. Lagging behind
// is safe (both sides then have the same, or the conflict rules apply); being ahead is not, so a change is written only
// after both sides have it.
//
// Files: DIR/base (magic, entries, BLAKE2b of all before it), DIR/base.journal (length, record, 8 bytes of BLAKE2b
// each). One writer.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mirror/state.h"
#include "sys/fd.h"

namespace locki::mirror {

class BaseStore {
 public:
  // Empty when there is none. What cannot be read is set aside (base.broken) and counts as empty: nothing is ever
  // deleted because of it.
  static Result<BaseStore> open(const std::filesystem::path& directory);

  const State& state() const { return state_; }
  // The branch's tip both sides had; "" for none.
  const std::string& tip() const { return tip_; }
  // Which sandbox it was agreed with.
  const std::string& instance() const { return instance_; }

  Result<> set(const std::string& path, const std::optional<Entry>& entry);
  Result<> set_tip(const std::string& tip);
  // Forgets everything: the other side is a new one.
  Result<> reset(const std::string& instance);
  // Writes a snapshot if the journal has grown, or in any case.
  Result<> compact(bool always);

 private:
  explicit BaseStore(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Result<> load();
  Result<> append(std::string_view record);
  Result<> replay(std::string_view record);
  std::filesystem::path snapshot_path() const { return directory_ / "base"; }
  std::filesystem::path journal_path() const { return directory_ / "base.journal"; }

  std::filesystem::path directory_;
  State state_;
  std::string tip_, instance_;
  sys::Fd journal_;
  std::size_t journal_size_ = 0;
};

// The snapshot's form: also used for the history's index. Pure.
struct StoredState {
  State state;
  std::string label_a, label_b;
};
std::string encode_stored(const StoredState& stored);
Result<StoredState> decode_stored(std::string_view bytes);

}  // namespace locki::mirror
