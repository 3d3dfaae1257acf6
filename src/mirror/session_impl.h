// The parts of a session (session.h), shared by session.cc (loop, daemon), session_round.cc (planning, carrying out)
// and session_transfer.cc (contents in and out). Not for anybody else.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "mirror/base_store.h"
#include "mirror/branch_link.h"
#include "mirror/durability.h"
#include "mirror/git_link.h"
#include "mirror/held.h"
#include "mirror/history.h"
#include "mirror/reconcile.h"
#include "mirror/recovery.h"
#include "mirror/ref_watch.h"
#include "mirror/session.h"
#include "mirror/stream.h"
#include "mirror/tree.h"
#include "review/links.h"
#include "sys/file.h"
#include "sys/watch.h"

namespace locki::mirror {

inline constexpr std::size_t kDownloadsAhead = 64;  // requests without an answer, each way of carrying
inline constexpr std::size_t kRequestsAhead = 128;

inline std::optional<Entry> entry_at(const State& state, const std::string& path) {
  const auto found = state.find(path);
  return found == state.end() ? std::nullopt : std::optional<Entry>(found->second);
}

struct Session::Impl {
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  // ---- what is carried out ----
  // An action with where its content comes from: the host's tree, the sandbox, or a file of ours (a merge).
  struct Step {
    Action action;
    std::filesystem::path spool;
  };
  // A file on its way out of the sandbox: into the host's tree, or into a file of ours.
  struct Download {
    Step step;
    bool to_spool = false;
    bool for_review = false;  // of a held file, to be shown
    std::optional<Suspect> suspect;  // of a file that may be torn, to be compared
    std::optional<FilePut> put;
    sys::Fd spool;
    std::filesystem::path spool_path;
    Blake2 hash;
    std::string problem;
  };
  // A file on its way in. One at a time; what follows waits behind it.
  struct Upload {
    wire::Id id = 0;
    sys::Fd file;
    std::uint64_t left = 0;
    Hash want;
    Blake2 hash;
    std::string path;
    bool from_tree = false;
  };
  // A path that could not be carried: not tried again until one of the sides changes there, or the time comes.
  struct Blocked {
    std::optional<Entry> host, sandbox;
    Time since, tried_at, retry_at;
    std::chrono::milliseconds delay{0};
    std::string reason;
    bool told = false;
  };
  struct Round {
    std::vector<Step> steps;
    std::size_t rescues = 0;  // downloads that must end before anything is changed
    bool applying = false;
    std::deque<Step> uploads;  // to the sandbox, in order
    std::deque<Download> waiting;
    std::size_t kept = 0;
    std::vector<HeldContent> held;  // fetched, to be stored
  };
  // Before the first plan: what a side has merely fallen back to.
  struct Recovering {
    Doubts doubts;
    Looked looked;
  };
  struct SyncRequest {
    std::int64_t id = 0;
    wire::Id barrier = 0;
    bool barrier_done = false;
    bool durable = false;   // wants it on both disks as well
    Time asked{}, heard{};  // heard: of all that was there then
  };

  Impl(SessionOptions o, sys::FileLock l, Stream s, sys::Fd c, BaseStore b, History h, HeldStore r, sys::TreeWatcher w,
       git::Program p)
      : options(std::move(o)),
        lock(std::move(l)),
        stream(std::move(s)),
        control(std::move(c)),
        base(std::move(b)),
        history(std::move(h)),
        held(std::move(r)),
        watcher(std::move(w)),
        program(std::move(p)),
        door(options.limits) {}

  // ---- session.cc ----
  Result<> open_worktree(const git::Repository& repository);
  Result<> greet(const git::Repository& repository);
  Result<> run();
  Result<> turn();
  int timeout() const;
  Result<> read_control();
  Result<> request(const json::object& line);
  void open_branches(const git::Repository& repository);
  void say(const json::object& line);
  void tell(Event event);
  void reply_error(std::int64_t id, const Error& error);
  Result<> handle(wire::Message& message, std::size_t size);
  Result<> entries(const wire::Entries& message);
  Result<> far_state_complete();
  Result<> watch_host();
  Result<> scan_host();
  Result<> answer_syncs();
  Result<> record_history(bool everything);
  Result<> finish();
  bool quiet() const;
  bool files_quiet() const;
  bool carried(const std::vector<std::string>& paths) const;
  bool calm() const;

  // ---- session_round.cc ----
  Result<> advance();
  Result<> begin_round();
  bool blocked_now(const Action& action);
  void forget_blocked(const Plan& plan);
  void block(const Action& action, std::string reason, bool tell_user);
  void not_as_listed(const Action& action);
  Result<> rescue(Step& step);
  Result<> rescued(Download& download);
  Result<> keep_version(const Action& action, int content);
  Result<bool> merge(Step& step, const Download& download);
  Result<> apply_round();
  Result<> preserve();
  Result<> change_host(Step& step);
  Result<> host_outcome(const Action& action, const Outcome& outcome);
  Result<> send_step(Step step);
  Result<> sandbox_done(const wire::Done& done);
  Result<> complete(const Action& action, bool on_host);
  Result<> finish_round();

  // ---- session_review.cc ----
  void look_at_host_names();
  std::optional<std::string> rule_for(const std::string& path, EntryKind kind) const;
  bool held_back(const Action& action);
  std::vector<Download> compare_held(bool whole_plan);
  void put_held(HeldFile file);
  void held_fetched(Download& download);
  Result<> store_held();
  Result<> accept(const json::object& line);
  Result<> mark_index();

  // ---- session_recovery.cc ----
  Doubts doubts();
  Result<> recover();
  Result<> first_agreement();
  void look_at(std::vector<Suspect> suspects);
  void suspect_fetched(Download& download);
  bool restore(const Fallen& fallen);
  bool restore(const std::string& path, const Entry& entry);
  Result<> put_back(const Recovery& found);
  Result<> rest();

  // ---- session_transfer.cc ----
  Result<> start_downloads();
  Result<> content(const wire::Content& message);
  Result<> data(const wire::Data& message);
  Result<> download_ended(wire::Id id, bool whole);
  Result<> pump_uploads();
  Result<> open_upload(wire::Id id, const Step& step);
  Result<> spool_file(std::filesystem::path& path, sys::Fd& fd);

  SessionOptions options;
  sys::FileLock lock;
  Stream stream;
  sys::Fd control;
  BaseStore base;
  History history;
  HeldStore held;  // what waits for the user's review
  sys::TreeWatcher watcher;
  git::Program program;
  Door door;
  std::optional<Tree> tree;  // after the watcher that it adds to
  std::optional<GitLink> git;
  std::optional<BranchLink> branches;  // besides the one that travels
  std::optional<Durability> durability;
  RefWatch refs;
  std::filesystem::path spool_directory;

  wire::Id last_id = 0;
  State sandbox, incoming;  // incoming: a full state still in pieces
  bool sandbox_full = false, have_sandbox = false, ready = false, stopping = false;
  int malformed = 0;
  std::optional<Round> round;
  std::unordered_map<wire::Id, Download> downloads;
  std::unordered_map<wire::Id, Step> sent;  // requests to the sandbox without an answer yet
  std::optional<Upload> upload;
  std::map<std::string, Blocked> blocked;
  std::set<std::pair<std::string, Hash>> kept;

  wire::FarHello far;
  bool recovery_due = true;
  Time ready_at{};
  std::optional<Recovering> recovering;
  std::set<std::string> torn_inside;  // what a crash left there is kept before it is replaced
  std::string recovered;              // to be told once it is done

  review::Links links;                       // of the host, as of the present plan
  std::set<std::string> repositories;        // folded directories of the host with a file HEAD
  std::map<std::string, HeldFile> holding;   // what the present plan holds back
  std::map<std::string, int> unread;         // fetches of a held file that failed
  std::set<std::string> told_held;
  bool marks_due = true;
  std::uint64_t marked_at = 0;
  Time mark_again{};
  bool plan_again = true, told_caught_up = false;

  std::set<std::string> dirty;
  std::optional<Time> first_dirty, last_dirty;
  bool full_scan_due = false;
  Time last_full_scan{}, last_ref_look{}, last_record{}, rescan_asked{}, last_stir{};  // stir: something came, or was to be done
  bool memory_kept = true;  // since then
  std::vector<SyncRequest> syncs;
  std::string control_in;
  std::int64_t stop_id = 0;
};

}  // namespace locki::mirror
