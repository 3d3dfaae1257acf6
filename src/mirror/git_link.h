// The branch between the two sides: which tip stands, packs both ways, and the index that follows. Part of a session;
// one thread. The outcome table is in docs/mirror.md. git_link.cc: tips and what goes in; git_link_accept.cc: what comes out.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "git/pack.h"
#include "mirror/base_store.h"
#include "mirror/branch_move.h"
#include "mirror/branch_trouble.h"
#include "mirror/control.h"
#include "mirror/door.h"
#include "mirror/recovery.h"
#include "mirror/stream.h"

namespace locki::mirror {

// What to do about three tips. Pure.
enum class TipStep {
  kNothing,   // both agree
  kAgree,     // both have the same, and the base does not know yet
  kSend,      // the host's tip goes in; what the sandbox has beyond the base is put on top of it there
  kReplace,   // the host's tip goes in, and stands there
  kFetch,     // the sandbox's tip comes out
  kHostGone,  // the host's branch was deleted: nothing happens until it is back
};
struct Tips {
  std::string base, host, sandbox;
  std::string refused;  // the sandbox tip that was refused, or set aside, last
  std::string clashed;  // the sandbox tip that cannot be put on top of this host tip
};
TipStep decide_tips(const Tips& tips);

// After an unclean end: where the branch counts as agreed from now on, and what was lost on the way.
struct FallenTip {
  std::string base;
  std::size_t commits = 0;
  bool host = false;  // the host fell back; else the sandbox, if any are missing
};

class GitLink {
 public:
  using Clock = std::chrono::steady_clock;
  struct Context {
    Stream* stream;
    Door* door;
    BaseStore* base;
    wire::Id* last_id;
    std::function<void(Event)> tell;
    // Whether these files are the same on both sides, or will not be for a reason that has been told. A branch moves after the files of its
    // new commits: else `git add -A`, there, would take them for deleted.
    std::function<bool(const std::vector<std::string>& paths)> carried;
  };
  GitLink(git::Repository repository, const StartSettings& settings, DoorLimits limits, Context context);

  Result<> start();                   // reads the host's tip
  void head(const wire::Head& head);  // the sandbox's tip
  const std::string& host_tip() const { return host_; }
  bool far_known() const { return far_known_; }
  bool has_commit(const git::ObjectId& oid) const;
  // The content at that path of a commit, if it is the one with that hash. kNotFound.
  Result<std::string> file_in(const git::ObjectId& commit, const std::string& path, const Hash& content, std::size_t limit) const;
  // A tip that is an older one of the trail's, or lies behind what was agreed, is nobody's reset.
  Result<FallenTip> fallen(const Doubts& doubts) const;
  bool owns(wire::Id id) const { return id == fetch_id_ || id == send_id_; }
  Result<> pack(const wire::Pack& pack);
  Result<> data(const wire::Data& data);
  Result<> done(const wire::Done& done);

  // Looks whether the host's branch moved (cheap: stat of a few files), or asks git in any case.
  Result<> look(bool always);
  // Starts what is to be done.
  Result<> step();
  // Nothing under way and nothing to do. A refused tip counts as settled.
  bool settled() const;
  // Whether who asked at `asked` need not wait for settled(): why_not() says what is in the way.
  bool stuck_since(Clock::time_point asked) const { return trouble_.lasts(asked); }
  const std::string& why_not() const { return trouble_.why(); }
  // Somebody asks: what waits out a pause is tried again.
  void hurry() { trouble_.hurry(); }
  // How often the worktree's index was made to follow.
  std::uint64_t index_moves() const { return index_moves_; }
  // Outgoing pack: a descriptor to poll for reading while the stream takes data, or -1.
  int pack_fd() const { return sending_ && stream_wants() ? pack_out_.get() : -1; }
  Result<> pump();

 private:
  // Files of a branch's new commits that are waited for.
  struct Arrival {
    std::string from, to;
    std::vector<std::string> paths;
    Clock::time_point until{};
  };

  bool stream_wants() const { return context_.stream->may_send_data(); }
  std::string ref() const { return "refs/heads/" + branch_; }
  std::string kept_ref(std::string_view what, const std::string& oid) const;
  std::string signature() const;
  // True when `tip` is one of the trail's and older than the agreed one, or an ancestor of that.
  bool fell_back(const std::string& tip) const;
  Tips tips() const;
  bool arrived(const std::string& from, const std::string& to);
  void note(const std::string& text);

  // ---- in ----
  Result<> begin_send(bool replace);
  Result<> start_packing();
  Result<> sent(const wire::Done& done);
  void clash(const wire::Done& done);

  // ---- out ----
  Result<> begin_fetch();
  Result<> check_pack();
  void take_checked();
  Result<bool> accept_checked(const std::string& tip);
  Result<> set_aside(const std::string& tip);
  Result<> move_to(const std::string& tip, bool forward);
  void refuse(const Error& error);
  void follow();
  // The index that is behind, on disk: who takes over from a killed worker must know, or the next commit on the host
  // would undo what came from inside.
  Result<> note_behind() const;
  void take_up_behind();
  void caught_up();

  git::Repository repository_;
  std::string branch_, sandbox_name_;
  std::filesystem::path behind_file_;    // index_behind_, for the next worker
  std::filesystem::path boundary_file_;  // where the sandbox's history ends; absent: nowhere
  DoorLimits limits_;
  Context context_;
  BranchMove mover_;
  BranchTrouble trouble_;
  std::string host_, far_, refused_, told_gone_;
  bool far_known_ = false, head_heard_ = false;  // heard: since sending began
  std::string signature_;
  std::optional<Arrival> arrival_;

  wire::Id fetch_id_ = 0, send_id_ = 0;
  std::string fetching_;
  std::string checked_;  // came out, is sound and in the repository; no ref has it yet
  std::optional<git::Quarantine> quarantine_;

  std::string sent_tip_;
  std::string stored_inside_;         // a tip whose pack the far end has, though its branch is elsewhere
  std::string clashed_host_, clashed_far_, clash_;  // which two tips do not go together, and why
  bool sending_ = false, replacing_ = false;
  sys::Child packer_;
  sys::Fd pack_out_, packer_words_;
  std::string pack_failure_;
  // The index is still at `first`, the branch at `second`.
  std::optional<std::pair<std::string, std::string>> index_behind_;
  std::uint64_t index_moves_ = 0;
};

}  // namespace locki::mirror
