// The loop of one session (endpoint.h): reads the host's requests, watches the worktree and the repository, reports and
// serves.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "endpoint/endpoint.h"
#include "endpoint/git_watch.h"
#include "endpoint/incoming.h"
#include "endpoint/link.h"
#include "endpoint/marks.h"
#include "endpoint/outgoing.h"
#include "mirror/tree.h"
#include "sys/flush.h"
#include "sys/watch.h"

namespace locki::endpoint {

class Session {
 public:
  Session(const EndpointOptions& options, Link link, sys::TreeWatcher watcher, GitWatch git_watch);
  Session(const Session&) = delete;  // the tree holds a pointer to the watcher
  Session& operator=(const Session&) = delete;
  Result<> run();

 private:
  using Clock = std::chrono::steady_clock;
  using Time = std::optional<Clock::time_point>;

  // ---- requests ----
  Result<> handle(wire::Frame& frame);
  Result<> on(const wire::HostHello& hello);
  Result<> on(const wire::Known& known);
  Result<> on(const wire::Rescan&);
  Result<> on(const wire::Fetch& fetch);
  Result<> on(const wire::Put& put);
  Result<> on(const wire::Remove& remove);
  Result<> on(const wire::Barrier& barrier);
  Result<> on(const wire::GitFetch& fetch);
  Result<> on(const wire::GitPack& pack);
  Result<> on(const wire::ListBranches& request);
  Result<> on(const wire::Flush& flush);
  Result<> on(const wire::Note& note);
  Result<> on(const wire::Data& data);
  Result<> on(const wire::Credit& credit);
  Result<> on(const wire::Bye&);
  template <class Other>
  Result<> on(const Other&) {
    return fail(ErrorKind::kProtocol, "the host sent what only the far end sends");
  }

  // ---- watching and reporting ----
  Result<> open_tree();
  void collect();                       // what the watchers saw, into dirty_ and the due times
  Result<> look(bool now);              // scans what is due; `now`: whatever is pending
  Result<> full_scan(bool report_all);  // report_all: the whole state, else what changed
  Result<> scan_failed(const Error& error);
  void answer_barriers();
  void report(bool full, const std::vector<mirror::Change>& changes);
  void report_head(bool again = false);  // again: also what was said already
  void follow();
  void mend();
  void log_cleared();
  void problem(const std::string& text);

  // ---- the loop ----
  void wait();
  bool lifeline_holds();
  int timeout_ms() const;
  Result<> serve_transfers();
  void end_flush();

  EndpointOptions options_;
  Link link_;
  sys::TreeWatcher watcher_;
  GitWatch git_watch_;
  std::optional<wire::HostHello> hello_;
  std::vector<std::string> known_;
  std::optional<Repository> repository_;
  std::optional<mirror::Tree> tree_;
  // After the tree they refer to.
  Outgoing outgoing_;
  Incoming incoming_;

  std::uint64_t generation_ = 0;
  bool reported_ = false;  // the first full state has gone out
  bool scan_failed_ = false;
  int follow_failures_ = 0;  // in a row
  bool done_ = false;
  bool cut_off_ = false;  // the lifeline has ended
  std::vector<wire::Id> barriers_;
  std::set<std::string> dirty_;
  Time first_dirty_, last_dirty_, full_due_, head_due_, follow_due_;
  Clock::time_point last_full_{};
  std::optional<HeadInfo> head_;
  Marks marks_{""};
  std::optional<std::pair<wire::Id, sys::Flush>> flush_;
  std::string last_problem_;
};

}  // namespace locki::endpoint
