// The frames between the mirror worker on the host and the endpoint in the sandbox: u32 little-endian payload length,
// u8 type, payload. Numbers are little-endian, strings are u32 length and bytes. One thread at a time; values only.
//
// The decoder bounds every length and count before it allocates and refuses unknown types, trailing bytes and short
// payloads (kProtocol). It does not look at what names mean: the door (mirror/door.h) does.
//
// Flow: each side always reads, whatever it has to write, so two full pipes never wait for each other. What can be
// large (Data, Entries) is paid for with credit: a sender starts with kWindow bytes of payload, each such frame costs
// its payload, and the receiver returns Credit as it has dealt with them. Everything else is small and bounded by
// kMaxOutstanding unanswered requests of the host. A frame may overdraw the window once (send while credit > 0), so the
// receiver holds at most kWindow + one frame.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "mirror/state.h"

namespace locki::mirror::wire {

inline constexpr std::uint32_t kVersion = 4;
inline constexpr std::size_t kHeaderSize = 5;
inline constexpr std::size_t kMaxPayload = 1 << 20;
inline constexpr std::size_t kMaxData = 128 << 10;  // bytes in one Data frame
inline constexpr std::size_t kMaxListed = 4096;     // elements of any list in one frame
inline constexpr std::size_t kMaxText = 4096;       // messages for people
inline constexpr std::size_t kMaxName = 255;        // branches, object ids, names of people
inline constexpr std::size_t kMaxPathBytes = 4096;
inline constexpr std::int64_t kWindow = 2 << 20;
inline constexpr std::size_t kMaxOutstanding = 256;
inline constexpr std::size_t kMaxBranches = 1000;  // in one Branches

// Numbers a request of the host; answers and Data carry it. Never reused within a connection.
using Id = std::uint64_t;
using ObjectId = std::string;  // 40 or 64 lower-case hex digits; "" for "none"

// ---- both ways ----
// A piece of the file or pack with this id, in order. `last` may come with no bytes; it ends the transfer. Host to far:
// follows Put or GitPack. Far to host: follows Content or Pack. Transfers of different ids may be interleaved.
struct Data {
  Id id = 0;
  bool last = false;
  bool failed = false;
  std::string bytes;
};  // failed: the sender gave up; discard
struct Credit {
  std::uint32_t bytes = 0;
};

// ---- host to far ----
struct HostHello {
  std::uint32_t version = kVersion;
  std::string root;                   // absolute path of the worktree inside
  std::string branch;                 // short name of the one branch that travels
  std::string object_format;          // "sha1" or "sha256": used when the repository has to be made
  std::string user_name, user_email;  // the author inside; "" leaves it unset
  std::uint32_t flags = 0;
};
// Paths that were agreed on: they count as part of the state even where git ignores them now. Sent after HostHello, in
// pieces; the far end's first scan waits for `last`.
struct Known {
  std::vector<std::string> paths;
  bool last = false;
};
struct Rescan {};  // send a full state again
struct Fetch {
  Id id = 0;
  std::string path;
  Hash content;
};
// Make `path` be `entry`. `expected`: what the host believes is there now (nullopt: nothing); else Done says conflict.
// For files Data follows, also for empty ones, and the bytes must hash to entry.content.
struct Put {
  Id id = 0;
  std::string path;
  Entry entry;
  std::optional<Entry> expected;
};
struct Remove {
  Id id = 0;
  std::string path;
  Entry expected;
};
// Answered with BarrierDone once every change that was on disk when it arrived has been reported in Entries, and the
// branch's tip in Head.
struct Barrier {
  Id id = 0;
};
// One pack of everything that `wants` (at least one) reach and `haves` do not. Answered with Pack, which names the first
// of `wants`, and Data, or with Done(failed), also in place of the last Data.
struct GitFetch {
  Id id = 0;
  std::vector<ObjectId> wants, haves;
};
// New tip for the branch. Data with a pack follows (thin allowed: the other side has `old_oid`; no bytes: it has them all). The far end stores
// the pack, moves the ref together with its index, and answers Done.
//   agreed_oid ""   its branch must be at `old_oid` ("" for an unborn one), and becomes `new_oid`
//   agreed_oid      what both sides agreed on last: whatever its branch has beyond that is put on top of `new_oid`, commit by commit. It may
//                   have moved on from `old_oid`. Done says how many were put on top, or kClash: one does not apply, nothing has moved.
struct GitPack {
  Id id = 0;
  ObjectId new_oid, old_oid, agreed_oid;
};
// Write everything down to the disk, with `mark` in a file of its own beside it. Answered with Done.
struct Flush {
  Id id = 0;
  std::string mark;
};
struct Note {
  std::string text;
};  // for whoever works inside
struct Bye {
  std::string reason;
};
// Asked for by the user only. Answered with Branches, or Done(failed).
struct ListBranches {
  Id id = 0;
};

// ---- far to host ----
struct FarHello {
  std::uint32_t version = kVersion;
  std::string program;
  std::string boot;  // which run of its kernel this is
  std::string mark;  // of the last Flush that its disk knows of; "" for none
};
struct ListedEntry {
  std::string path;
  std::optional<Entry> entry;
};
// A full scan in pieces (`full`, starting with `first`) or what changed since. `generation` grows with each scan that
// was reported.
struct Entries {
  std::uint64_t generation = 0;
  bool full = false, first = false, last = false;
  std::vector<ListedEntry> entries;
};
struct Content {
  Id id = 0;
  std::uint64_t size = 0;
};  // Data follows: exactly what Fetch named, else Data.failed or ContentGone
struct ContentGone {
  Id id = 0;
};
// The last two answer a GitPack only; its pack is stored then. kWaiting: somebody inside is in the middle of something, again in a moment.
enum class DoneStatus : std::uint8_t { kOk = 0, kConflict = 1, kFailed = 2, kWaiting = 3, kClash = 4 };
struct Done {
  Id id = 0;
  DoneStatus status = DoneStatus::kOk;
  std::optional<Entry> actual;
  std::string message;
  std::uint32_t replayed = 0;  // commits that were put on top (GitPack)
};
struct BarrierDone {
  Id id = 0;
  std::uint64_t generation = 0;
};
// The branch's tip ("" when unborn), what HEAD names, and how many other refs there are. After FarHello and on every
// change.
struct Head {
  std::string current;
  ObjectId oid;
  std::uint32_t other_refs = 0;
};
struct Pack {
  Id id = 0;
  ObjectId oid;
};
struct Problem {
  std::string text;
};
// Branches besides the one that travels, each name once, how many more there are that did not fit (too many, names
// too long), and how many stashes.
struct BranchTip {
  std::string name;  // short
  ObjectId oid;
};
struct Branches {
  Id id = 0;
  std::vector<BranchTip> branches;
  std::uint32_t more = 0;
  std::uint32_t stashes = 0;
};

enum class Type : std::uint8_t {
  kData = 1,
  kCredit = 2,
  kHostHello = 16,
  kKnown,
  kRescan,
  kFetch,
  kPut,
  kRemove,
  kBarrier,
  kGitFetch,
  kGitPack,
  kNote,
  kBye,
  kListBranches,
  kFlush,
  kFarHello = 64,
  kEntries,
  kContent,
  kContentGone,
  kDone,
  kBarrierDone,
  kHead,
  kPack,
  kProblem,
  kBranches,
};

using Message =
    std::variant<Data, Credit, HostHello, Known, Rescan, Fetch, Put, Remove, Barrier, GitFetch, GitPack, Note, Bye,
                 ListBranches, Flush, FarHello, Entries, Content, ContentGone, Done, BarrierDone, Head, Pack, Problem, Branches>;

// Header and payload. The caller keeps within the limits above; what is too long is a bug and is refused by the other
// side.
std::string encode(const Message& message);
// One whole frame's payload.
Result<Message> decode(std::uint8_t type, ByteView payload);

// True for the messages that only the host (only the far end) sends, or both.
bool from_host(const Message& message);
bool from_far(const Message& message);
// What a frame costs of the window: its payload for Data and Entries, else 0.
std::int64_t credit_cost(const Message& message, std::size_t payload_size);

struct Frame {
  Message message;
  std::size_t payload_size = 0;  // for Credit
};

// Bytes in, messages out. After an error it stays broken.
class Decoder {
 public:
  // Buffers at most one frame beyond what next() has taken, if next() is called until it gives nothing after each
  // feed().
  void feed(ByteView bytes);
  // nullopt: more bytes are needed.
  Result<std::optional<Frame>> next();

 private:
  std::string buffer_;
  std::size_t start_ = 0;
  bool broken_ = false;
};

// Splits a state or a list of changes into Entries frames that keep within the limits; always at least one frame.
std::vector<Entries> split_entries(std::uint64_t generation, bool full, const std::vector<Change>& changes);

}  // namespace locki::mirror::wire
