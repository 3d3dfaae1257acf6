// A round: plan, save what would be lost, change both sides, move the base. Nothing new is planned until it has ended.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "mirror/merge.h"
#include "mirror/session_impl.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstRetry{1000};
constexpr milliseconds kLastRetry{60'000};
constexpr milliseconds kRetryForSync{500};
constexpr milliseconds kBetweenRescans{5'000};
constexpr std::size_t kMaxMerge = 8 << 20;

bool is_file(const std::optional<Entry>& entry) { return entry && entry->kind == EntryKind::kFile; }

}  // namespace

Result<> Session::Impl::advance() {
  if (!round && plan_again && have_sandbox && !recovery_due) TRY(begin_round());
  if (!round) return {};
  TRY(start_downloads());
  TRY(pump_uploads());
  if (!round->applying && round->rescues == 0) TRY(apply_round());
  const bool over = round->applying && round->waiting.empty() && round->uploads.empty() && downloads.empty() &&
                    sent.empty() && !upload;
  return over ? finish_round() : Result<>{};
}

Result<> Session::Impl::begin_round() {
  plan_again = false;
  const std::size_t limit = options.round + blocked.size() + held.files().size();
  const Plan plan = reconcile(base.state(), tree->state(), sandbox, limit);
  if (plan.actions.size() < limit) forget_blocked(plan);
  Round fresh;
  look_at_host_names();
  for (Action action : plan.actions) {
    // What a crash left is in no version: somebody may want to see it.
    if (action.kind == Action::Kind::kChangeSandbox && action.from && torn_inside.erase(action.path) > 0) action.keep = action.from;
    if (held_back(action) || blocked_now(action)) continue;
    if (action.kind == Action::Kind::kAdopt) {
      TRY(base.set(action.path, action.to));
      continue;
    }
    fresh.steps.push_back({std::move(action), {}});
  }
  std::vector<Download> to_show = compare_held(plan.actions.size() < limit);
  TRY(held.save());
  if (fresh.steps.empty() && to_show.empty()) {
    // All of a plan that was cut short was agreed already: there is more.
    plan_again = plan.actions.size() == limit;
    return {};
  }
  told_caught_up = false;
  round.emplace(std::move(fresh));
  for (Step& step : round->steps) {
    if (step.action.keep) TRY(rescue(step));
  }
  round->rescues += to_show.size();
  for (Download& download : to_show) round->waiting.push_back(std::move(download));
  return {};
}

bool Session::Impl::blocked_now(const Action& action) {
  const auto found = blocked.find(action.path);
  if (found == blocked.end()) return false;
  const bool changed = found->second.host != entry_at(tree->state(), action.path) ||
                       found->second.sandbox != entry_at(sandbox, action.path);
  if (changed) {
    found->second = {.since = Clock::now(), .told = found->second.told};
    return false;
  }
  const auto now = Clock::now();
  return now < found->second.retry_at && (syncs.empty() || now < found->second.tried_at + kRetryForSync);
}

// What no longer has anything to be done about.
void Session::Impl::forget_blocked(const Plan& plan) {
  std::set<std::string_view> paths;
  for (const Action& action : plan.actions) paths.insert(action.path);
  std::erase_if(blocked, [&](const auto& item) {
    if (paths.contains(item.first)) return false;
    if (item.second.told) tell({"unblocked", item.first, "", ""});
    return true;
  });
}

void Session::Impl::block(const Action& action, std::string reason, bool tell_user) {
  const auto now = Clock::now();
  Blocked& entry = blocked[action.path];
  if (entry.since == Time{}) entry.since = now;
  entry.host = entry_at(tree->state(), action.path);
  entry.sandbox = entry_at(sandbox, action.path);
  entry.delay = std::clamp(entry.delay * 2, kFirstRetry, kLastRetry);
  entry.tried_at = now;
  entry.retry_at = now + entry.delay;
  entry.reason = printable(reason, 500);
  if (tell_user && !entry.told) tell({"blocked", action.path, "", entry.reason});
  entry.told |= tell_user;
}

// The far end did not give what it has listed. Usually the agent has changed it again, and the next Entries say to what: that
// makes a new plan at once. If none come, the books of the two sides differ (or the far end lies): it is asked for all of
// them once, and the path is tried again with pauses, not as fast as both can.
void Session::Impl::not_as_listed(const Action& action) {
  plan_again = true;
  block(action, "the sandbox does not give what it says is there", false);
  const auto now = Clock::now();
  const auto& entry = blocked[action.path];
  if (entry.delay == kFirstRetry || entry.delay == kLastRetry || now < rescan_asked + kBetweenRescans) return;
  rescan_asked = now;
  stream.send(wire::Rescan{});
}

// ---- what would be lost ----

// The agent's version of a path that is about to lose: out of the sandbox into a file of ours, and from there into the
// history.
Result<> Session::Impl::rescue(Step& step) {
  const Action& action = step.action;
  const bool known = kept.contains({action.path, action.keep->content});
  if (action.keep->kind == EntryKind::kSymlink) return known ? Result<>{} : keep_version(action, -1);
  if (known && action.kind != Action::Kind::kMerge) return {};
  Download download{.step = step, .to_spool = true};
  round->waiting.push_back(std::move(download));
  ++round->rescues;
  return {};
}

Result<> Session::Impl::keep_version(const Action& action, int content) {
  const bool deleted = !entry_at(tree->state(), action.path);
  const std::string reason = action.from == action.keep && entry_at(base.state(), action.path) == action.from ? "torn by a crash" : deleted ? "deleted on the host, changed inside" : "changed on both sides";
  TRY_ASSIGN(const std::string version, history.keep(action.path, *action.keep, content, reason));
  kept.insert({action.path, action.keep->content});
  tell({"conflict", action.path, version, reason + ": the host's version stands, the agent's is in the history"});
  stream.send(wire::Note{"locki: " + printable(action.path, 1000) + " was " + reason +
                         "; the user's version stands, yours is kept in locki history."});
  return {};
}

Result<> Session::Impl::rescued(Download& download) {
  --round->rescues;
  if (download.suspect) return suspect_fetched(download), Result<>{};
  if (download.for_review) return held_fetched(download), Result<>{};
  const auto at = std::find_if(round->steps.begin(), round->steps.end(),
                               [&](const Step& step) { return step.action == download.step.action; });
  if (at == round->steps.end()) return {};
  if (!download.problem.empty()) {
    // What must not be destroyed stays.
    not_as_listed(at->action);
    round->steps.erase(at);
    return {};
  }
  if (at->action.kind == Action::Kind::kMerge) {
    TRY_ASSIGN(const bool merged, merge(*at, download));
    if (merged) return {};
    const Action lost = at->action;
    at->action = {Action::Kind::kChangeSandbox, lost.path, entry_at(sandbox, lost.path), lost.from, lost.keep, true};
  }
  if (!kept.contains({at->action.path, at->action.keep->content})) TRY(keep_version(at->action, download.spool.get()));
  std::filesystem::remove(download.spool_path);
  return {};
}

// Turns the step into a change of the host and adds one of the sandbox, if the texts merge.
Result<bool> Session::Impl::merge(Step& step, const Download& download) {
  const Action action = step.action;
  const auto agreed = entry_at(base.state(), action.path);
  if (!is_file(agreed) || !is_file(action.from) || agreed->size > kMaxMerge || action.from->size > kMaxMerge ||
      action.keep->size > kMaxMerge)
    return false;
  // What would run on the host gets there as the user has seen it, or not at all.
  if (rule_for(action.path, EntryKind::kFile)) return false;
  // Usually the last version; not if one side's next content was recorded while this one was on its way.
  auto old = history.find(action.path, agreed->content, kMaxMerge);
  if (!old) old = git->file_in(base.tip(), action.path, agreed->content, kMaxMerge);  // as it was cloned
  if (!old) return false;
  auto opened = tree->open_file(action.path);
  if (!opened) return false;
  auto ours = sys::read_all(opened->fd.get(), kMaxMerge);
  if (!ours || hash_of(*ours) != action.from->content) return false;
  if (::lseek(download.spool.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "cannot read a file again");
  TRY_ASSIGN(const std::string theirs, sys::read_all(download.spool.get(), kMaxMerge));
  TRY_ASSIGN(const auto merged, merge_text(program, spool_directory, *old, *ours, theirs));
  if (!merged) return false;

  sys::Fd file;
  std::filesystem::path path;
  TRY(spool_file(path, file));
  TRY(sys::write_all(file.get(), *merged));
  sys::fault_point("round.merged");
  const Entry result = Entry::file(merged->size(), hash_of(*merged), action.to->executable);
  step = {{Action::Kind::kChangeHost, action.path, action.from, result, std::nullopt, false}, path};
  round->steps.push_back({{Action::Kind::kChangeSandbox, action.path, action.keep, result, std::nullopt, false}, path});
  tell({"merged", action.path, "", "both sides changed it in different places"});
  return true;
}

// Before anything on the host is overwritten or removed, the history has it.
Result<> Session::Impl::preserve() {
  std::vector<Change> changes;
  for (const Step& step : round->steps) {
    const Action& action = step.action;
    const bool destroys =
        action.kind == Action::Kind::kChangeHost && action.from && action.from->kind != EntryKind::kDirectory;
    if (destroys && !history.has(action.path, *action.from)) changes.push_back({action.path, action.from});
  }
  if (changes.empty()) return {};
  return history.record(changes, [this](const std::string& path) -> Result<sys::Fd> {
    TRY_ASSIGN(sys::OpenedFile opened, tree->open_file(path));
    return std::move(opened.fd);
  });
}

// ---- the changes ----

Result<> Session::Impl::apply_round() {
  round->applying = true;
  TRY(store_held());
  TRY(preserve());
  sys::fault_point("round.preserved");
  // On disk before either side gets it: a version that a side comes back with is known.
  std::vector<Change> changes;
  for (const Step& step : round->steps) changes.push_back({step.action.path, step.action.to});
  TRY(base.intend(changes));
  sys::fault_point("round.intended");
  for (Step& step : round->steps) {
    if (step.action.kind == Action::Kind::kChangeHost) {
      TRY(change_host(step));
    } else {
      round->uploads.push_back(std::move(step));
    }
  }
  round->steps.clear();
  TRY(start_downloads());
  return pump_uploads();
}

Result<> Session::Impl::change_host(Step& step) {
  const Action& action = step.action;
  if (!action.to) return host_outcome(action, tree->remove(action.path, *action.from));
  switch (action.to->kind) {
    case EntryKind::kDirectory:
      return host_outcome(action, tree->put_directory(action.path, action.from));
    case EntryKind::kSymlink:
      return host_outcome(action, tree->put_symlink(action.path, *action.to, action.from));
    case EntryKind::kFile:
      break;
  }
  if (!step.spool.empty()) {
    TRY_ASSIGN(const sys::Fd file, sys::open_file(step.spool, O_RDONLY));
    return host_outcome(
        action,
        tree->put_file(
            action.path, *action.to,
            [&](std::uint8_t* data, std::size_t size) { return sys::read_some(file.get(), data, size); }, action.from));
  }
  const bool only_mode =
      is_file(action.from) && action.from->content == action.to->content && action.from->size == action.to->size;
  if (only_mode) {
    if (auto opened = tree->open_file(action.path)) {
      return host_outcome(action, tree->put_file(
                                      action.path, *action.to,
                                      [&](std::uint8_t* data, std::size_t size) {
                                        return sys::read_some(opened->fd.get(), data, size);
                                      },
                                      action.from));
    }
  }
  round->waiting.push_back(Download{.step = std::move(step)});
  return {};
}

Result<> Session::Impl::host_outcome(const Action& action, const Outcome& outcome) {
  if (outcome.applied()) return complete(action, true);
  plan_again = true;
  if (outcome.status == Outcome::Status::kFailed) {
    block(action, outcome.reason, true);
    return {};
  }
  // Something else is there than the last scan saw: look, and decide anew. What the scan leaves out (ignored on the
  // host) stays as it is.
  const auto before = entry_at(tree->state(), action.path);
  auto changes = tree->rescan({action.path});
  if (!changes) return fail(std::move(changes).error());
  if (entry_at(tree->state(), action.path) == before)
    block(action, outcome.reason.empty() ? "something else is there on the host" : outcome.reason,
          action.to.has_value());
  return {};
}

Result<> Session::Impl::send_step(Step step) {
  const Action& action = step.action;
  const wire::Id id = ++last_id;
  if (!action.to) {
    door.expect_done(id);
    stream.send(wire::Remove{id, action.path, *action.from});
    sent.emplace(id, std::move(step));
    return {};
  }
  if (action.to->kind == EntryKind::kFile) return open_upload(id, step);
  door.expect_done(id);
  stream.send(wire::Put{id, action.path, *action.to, action.from});
  sent.emplace(id, std::move(step));
  return {};
}

Result<> Session::Impl::sandbox_done(const wire::Done& done) {
  const auto found = sent.find(done.id);
  if (found == sent.end()) return {};
  const Step step = std::move(found->second);
  sent.erase(found);
  // A refusal may come before the last piece has gone out.
  if (upload && upload->id == done.id) {
    stream.send(wire::Data{done.id, false, true, ""});
    upload.reset();
  }
  const Action& action = step.action;
  if (done.status == wire::DoneStatus::kOk) return complete(action, false);
  plan_again = true;
  if (done.status == wire::DoneStatus::kFailed) {
    block(action, "inside: " + printable(done.message), true);
    return {};
  }
  if (done.actual && !check_entry(action.path, *done.actual, options.limits)) {
    block(action, "what is there inside cannot travel", true);
    return {};
  }
  if (entry_at(sandbox, action.path) == done.actual) {
    // As we thought, and still refused: a directory that holds what git ignores.
    block(action, done.message.empty() ? "it cannot be changed inside" : "inside: " + printable(done.message), false);
    return {};
  }
  record(sandbox, action.path, done.actual);
  return far_state_complete();
}

Result<> Session::Impl::complete(const Action& action, bool on_host) {
  if (!on_host) record(sandbox, action.path, action.to);
  if (const auto found = blocked.find(action.path); found != blocked.end()) {
    if (found->second.told) tell({"unblocked", action.path, "", ""});
    blocked.erase(found);
  }
  if (action.settles) return base.set(action.path, action.to);
  const auto host = entry_at(tree->state(), action.path);
  if (host == entry_at(sandbox, action.path)) return base.set(action.path, host);
  return {};
}

Result<> Session::Impl::finish_round() {
  sys::fault_point("round.finished");
  round.reset();
  plan_again = true;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(spool_directory, ignored))
    std::filesystem::remove(entry.path(), ignored);
  return base.compact(false);
}

}  // namespace locki::mirror
