// The door: every message from a sandbox passes here before anything else looks at it. Names, kinds, sizes, counts and
// rates. Pure but for the clock that is passed in; one thread. An error (kProtocol, kNoSpace) ends the session: a
// well-meaning endpoint never causes one.
#pragma once

#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "base/result.h"
#include "mirror/wire.h"

namespace locki::mirror {

struct DoorLimits {
  std::uint64_t max_file = 2ULL << 30;    // bytes of one file; the endpoint does not report larger ones
  std::uint64_t max_total = 64ULL << 30;  // bytes of all files of a state
  std::size_t max_entries = 1'000'000;    // paths in a state
  std::uint64_t max_pack = 4ULL << 30;    // bytes of one pack
  // Token buckets: what a busy honest sandbox (npm install in a tracked folder, a checkout) stays below for ever.
  std::uint64_t entries_per_second = 200'000, entries_burst = 2'000'000;
  std::uint64_t messages_per_second = 100'000, messages_burst = 1'000'000;
};

// What is wrong with a listed entry, beyond its path: unknown kind, size over the limit, fields that do not belong to
// the kind, symlink target. Shared with the endpoint, which leaves such files out and says so instead of sending them.
Result<> check_entry(std::string_view path, const Entry& entry, const DoorLimits& limits);
// 40 or 64 lower-case hex digits.
bool is_object_id(std::string_view text);

class Door {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Door(DoorLimits limits = {}, Clock::time_point now = Clock::now());

  // What the host has asked for: Data, Content, Done, Pack for any other id are a violation.
  void expect_file(wire::Id id, std::uint64_t size);
  void expect_pack(wire::Id id);
  void expect_branches(wire::Id id);
  void expect_done(wire::Id id);
  void expect_barrier(wire::Id id);

  // Judges the next message. Nothing of a refused message may be used.
  Result<> admit(const wire::Message& message, std::size_t payload_size, Clock::time_point now);

 private:
  enum class Wait : std::uint8_t { kFileStart, kFileData, kPackStart, kPackData, kDone, kBarrier, kBranches };
  struct Expected {
    Wait wait;
    std::uint64_t left = 0;
  };
  struct Bucket {
    double tokens, burst, per_second;
    bool take(double n, double seconds);
  };

  Result<> admit_entries(const wire::Entries& message);
  Result<> admit_data(const wire::Data& message);
  static Result<> admit_branches(const wire::Branches& message);

  DoorLimits limits_;
  Clock::time_point last_;
  Bucket messages_, entries_;
  double elapsed_ = 0;
  bool greeted_ = false;
  bool in_full_ = false;
  std::unordered_map<wire::Id, Expected> expected_;
};

}  // namespace locki::mirror
