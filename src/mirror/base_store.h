// What both sides last agreed on, on disk: a snapshot, and a journal of what was noted since. Each note is one append,
// so a worker that is killed anywhere continues where it was; a journal's torn end is dropped.
//
// There are two levels. *Agreed*: both sides have it. *Durable*: both sides have it on disk, so that neither can come
// back from a crash without it. What lies between the two is the trail (mirror/trail.h). A version is on the trail,
// and the journal on the disk, before either side is given it: whatever a side shows after a crash is known here.
//
// Files: DIR/base (magic, everything, BLAKE2b of it), DIR/base.journal (the snapshot's generation, then length, record,
// 8 bytes of BLAKE2b each). One writer.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mirror/state.h"
#include "mirror/stored.h"
#include "mirror/trail.h"
#include "sys/fd.h"

namespace locki::mirror {

// Which run of its kernel each side was in when it was last heard of; "" when that is not known. After another run what
// is on the trail is in doubt.
struct Boots {
  std::string host, sandbox;
  bool operator==(const Boots&) const = default;
};

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
  // The commit that this sandbox was cloned from, while nothing was agreed with it yet; else "".
  const std::string& origin() const { return origin_; }
  const Boots& boots() const { return boots_; }
  const Trail& trail() const { return trail_; }
  // How often everything was on both disks.
  std::uint64_t marks() const { return marks_; }

  // Both sides have it.
  Result<> set(const std::string& path, const std::optional<Entry>& entry);
  Result<> set_tip(const std::string& tip);
  // One side is about to get these: on disk when it returns.
  Result<> intend(const std::vector<Change>& changes);
  Result<> intend_tip(const std::string& tip);
  // Both sides have on disk what was agreed up to that note of the trail (Trail::durable).
  Result<> mark(std::uint64_t position, bool idle);
  // The first agreement with a new sandbox is known.
  Result<> begin(const State& state, const std::string& tip);
  Result<> set_boots(const Boots& boots);
  // What sides that have fallen back show (mirror/recovery.h) is what counts as agreed: all of it at once.
  Result<> fall_back(const State& state, const std::vector<Change>& shown, const std::string& tip, const Boots& boots);
  // Forgets everything: the other side is a new one.
  Result<> reset(const std::string& instance, const std::string& origin);
  // Writes a snapshot if the journal has grown, or in any case.
  Result<> compact(bool always);

 private:
  explicit BaseStore(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Result<> load();
  Result<> load_snapshot(std::string_view bytes);
  std::string encode() const;
  Result<> append(std::string_view record);
  Result<> sync() const;
  Result<> replay(std::string_view record);
  void forget();
  std::filesystem::path snapshot_path() const { return directory_ / "base"; }
  std::filesystem::path journal_path() const { return directory_ / "base.journal"; }

  std::filesystem::path directory_;
  State state_;
  std::string tip_, instance_, origin_;
  Boots boots_;
  Trail trail_;
  std::uint64_t marks_ = 0;
  std::uint64_t generation_ = 0;  // of the snapshot; a journal of another one is not its own
  sys::Fd journal_;
  std::size_t journal_size_ = 0;
};

}  // namespace locki::mirror
