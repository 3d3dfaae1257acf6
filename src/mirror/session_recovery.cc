// The beginning of a session: the first agreement with a new sandbox, and what a side that died without warning has
// fallen back to (recovery.h). Nothing is planned before this is through. And its end: what is to be on disk.
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "mirror/origin.h"
#include "mirror/session_impl.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHeadPatience{5000};  // for a repository inside that cannot say where its branch is
constexpr milliseconds kRest{1500};
constexpr std::size_t kMaxSuspects = 2000;
constexpr std::uint64_t kMaxSuspect = 64 << 20;

std::string counted(std::size_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

}  // namespace

Doubts Session::Impl::doubts() {
  Doubts out;
  const Boots& before = base.boots();
  out.host = !before.host.empty() && before.host != options.boot;
  out.sandbox = !before.sandbox.empty() && before.sandbox != far.boot;
  // Its disk is older than the last mark: an image or a snapshot was put back.
  const bool older = mark_number(base.instance(), far.mark) < base.marks();
  out.sandbox |= older;
  out.all = older || base.marks() == 0;
  if (!out.any() || !out.all) return out;
  std::vector<Change> shown = diff(base.state(), sandbox);
  const std::vector<Change> on_host = diff(base.state(), tree->state());
  shown.insert(shown.end(), on_host.begin(), on_host.end());
  auto had = history.ever_had(shown);
  if (!had) log::warning("{}", had.error().describe());
  out.older = [had = std::move(had).value_or(std::set<std::pair<std::string, Hash>>())](const std::string& path, const Entry& entry) {
    return had.contains({path, entry.content});
  };
  return out;
}

Result<> Session::Impl::recover() {
  if (round) return {};
  if (!recovering) {
    // The branch is judged with the files, if it is known soon.
    if (!git->far_known() && Clock::now() < ready_at + kHeadPatience) return {};
    // The daemon names it while the clone can be nothing but what it was.
    if (!base.origin().empty()) TRY(options.settings.cloned == base.origin() ? first_agreement() : base.begin({}, ""));
    recovering.emplace(Recovering{.doubts = doubts(), .looked = {}});
  }
  if (!recovering->doubts.any()) {
    const Boots now{options.boot, far.boot};
    if (base.boots() != now) TRY(base.set_boots(now));
    recovery_due = false;
    recovering.reset();
    return {};
  }
  Recovery found = judge(base.trail(), base.state(), tree->state(), sandbox, recovering->doubts, recovering->looked);
  if (!found.suspects.empty()) return look_at(std::move(found.suspects)), Result<>();
  return put_back(found);
}

// What the sandbox was cloned from is what both had; whatever either shows now was done since.
Result<> Session::Impl::first_agreement() {
  std::set<std::string> differ;
  for (const Change& change : diff(tree->state(), sandbox)) differ.insert(change.path);
  look_at_host_names();
  // What is on the host and does not travel was not deleted there; nor was what is held back: it never came.
  std::erase_if(differ, [&](const std::string& path) {
    if (tree->state().contains(path)) return false;
    const auto there = tree->root().exists(path);
    return !there || *there || rule_for(path, EntryKind::kFile).has_value();
  });
  TRY_ASSIGN(const git::Repository repository, git::Repository::discover(program, options.settings.worktree));
  auto cloned = state_of_commit(repository, base.origin(), differ, options.limits.max_file);
  // Without it the two sides meet as strangers: nothing is lost, but what differs counts as a conflict.
  if (!cloned) log::warning("{}", cloned.error().describe());
  State state = std::move(cloned).value_or(State());
  // What both have is agreed by itself; the directories above are needed for a well-formed state.
  for (const auto& [path, entry] : tree->state())
    if (entry_at(sandbox, path) == entry) state.emplace(path, entry);
  if (!complete_parents(state)) state.clear();
  return base.begin(state, git->has_commit(base.origin()) ? base.origin() : "");
}

// Their contents, to compare. The sandbox's version is fetched: it is either what is looked at, or what the host's is compared with.
void Session::Impl::look_at(std::vector<Suspect> suspects) {
  Round looking;
  for (Suspect& suspect : suspects) {
    const auto inside = entry_at(sandbox, suspect.path);
    const bool comparable = inside && inside->kind == EntryKind::kFile && inside->size <= kMaxSuspect && looking.waiting.size() < kMaxSuspects;
    if (!comparable) {
      recovering->looked.whole.insert({suspect.side, suspect.path});
      continue;
    }
    const Action action{Action::Kind::kChangeSandbox, suspect.path, inside, std::nullopt, inside, false};
    looking.waiting.push_back({.step = {action, {}}, .to_spool = true, .suspect = std::move(suspect)});
  }
  looking.rescues = looking.waiting.size();
  if (looking.rescues > 0) round.emplace(std::move(looking));
}

void Session::Impl::suspect_fetched(Download& download) {
  const Suspect& suspect = *download.suspect;
  const auto key = std::pair{suspect.side, suspect.path};
  std::error_code ignored;
  std::filesystem::remove(download.spool_path, ignored);
  auto inside = Result<std::string>(fail(ErrorKind::kUnavailable, "it did not come"));
  if (download.problem.empty() && ::lseek(download.spool.get(), 0, SEEK_SET) == 0) inside = sys::read_all(download.spool.get(), kMaxSuspect);
  auto opened = tree->open_file(suspect.path);
  auto host = opened ? sys::read_all(opened->fd.get(), kMaxSuspect) : Result<std::string>(fail(Error(opened.error())));
  bool torn = false;
  if (inside && suspect.side == Side::kSandbox) {
    torn = host && is_torn(*host, *inside);
  } else if (inside && host) {
    torn = is_torn(*inside, *host);
  }
  // The other side may have fallen back as well: the versions themselves are in the history.
  const auto& shown = suspect.side == Side::kSandbox ? inside : host;
  const auto versions = base.trail().paths().find(suspect.path);
  if (!torn && shown && versions != base.trail().paths().end()) {
    for (const auto& item : versions->second.items()) {
      if (torn || !item.value || item.value->kind != EntryKind::kFile || item.value->size > kMaxSuspect) continue;
      const auto version = history.find(suspect.path, item.value->content, kMaxSuspect);
      torn = version && is_torn(*version, *shown);
    }
  }
  (torn ? recovering->looked.torn : recovering->looked.whole).insert(key);
}

// What neither side has any more comes back out of the history. False: it is not there either.
bool Session::Impl::restore(const Fallen& fallen) {
  return std::any_of(fallen.restore.begin(), fallen.restore.end(),
                     [&](const Entry& entry) { return restore(fallen.path, entry); });
}

bool Session::Impl::restore(const std::string& path, const Entry& entry) {
  const auto there = entry_at(tree->state(), path);
  if (entry.kind == EntryKind::kDirectory) return tree->put_directory(path, there).applied();
  if (entry.kind == EntryKind::kSymlink) return tree->put_symlink(path, entry, there).applied();
  const auto content = history.find(path, entry.content, kMaxSuspect);
  if (!content) return false;
  std::string_view left = *content;
  const auto read = [&](std::uint8_t* data, std::size_t size) -> Result<std::size_t> {
    const std::size_t n = std::min(size, left.size());
    std::copy_n(left.begin(), n, data);
    left.remove_prefix(n);
    return n;
  };
  return tree->put_file(path, entry, read, there).applied();
}

Result<> Session::Impl::put_back(const Recovery& found) {
  std::vector<Fallen> fallen = found.fallen;
  std::size_t inside = 0, outside = 0;
  // Before anything of the host's goes, torn or not, the history has it.
  std::vector<Change> endangered;
  for (const Fallen& one : fallen)
    if (const auto there = entry_at(tree->state(), one.path); one.host && there && !history.has(one.path, *there)) endangered.push_back({one.path, there});
  TRY(history.record(endangered, [this](const std::string& path) -> Result<sys::Fd> {
    TRY_ASSIGN(sys::OpenedFile opened, tree->open_file(path));
    return std::move(opened.fd);
  }));
  std::vector<Change> shown;
  for (Fallen& one : fallen) {
    if (restore(one)) one.base = entry_at(sandbox, one.path);
    shown.push_back({one.path, one.base});
    if (one.torn && one.sandbox) torn_inside.insert(one.path);
    const auto kind = [&](const State& state) { return entry_at(state, one.path).value_or(Entry::directory()).kind; };
    const bool directory = kind(tree->state()) == EntryKind::kDirectory && kind(sandbox) == EntryKind::kDirectory;
    inside += one.sandbox && !directory;
    outside += one.host && !directory;
  }
  if (recovering->doubts.sandbox) TRY(branches->note_fallen());
  TRY_ASSIGN(const FallenTip tip, git->fallen(recovering->doubts));
  sys::fault_point("recovery.judged");
  TRY(base.fall_back(rebased(base.state(), fallen), shown, tip.base, {options.boot, far.boot}));
  sys::fault_point("recovery.noted");
  std::vector<std::string> what;
  if (inside > 0) what.push_back(counted(inside, "file") + " inside");
  if (outside > 0) what.push_back(counted(outside, "file") + " on the host");
  if (tip.commits > 0) what.push_back(counted(tip.commits, "commit") + (tip.host ? " on the host" : " inside"));
  if (!what.empty()) {
    const bool both = recovering->doubts.host;
    recovered = std::string(both ? "the host and with it the machine" : "the machine") +
                " ended without warning, and what had not reached its disk was put back: " + join(what, ", ") +
                "; every other version is in: locki history";
  }
  log::info("after an unclean end, {} marks, {} paths in doubt: {} files inside, {} on the host, {} commits had fallen back", base.marks(), base.trail().paths().size(), inside, outside, tip.commits);
  recovery_due = false;
  recovering.reset();
  plan_again = true;
  told_caught_up = false;
  return {};
}

// The container, or the machine, may end right after: what is only in memory is written down, if that does not take long.
Result<> Session::Impl::rest() {
  if (stop_id == 0 || !ready) return {};
  const Time deadline = Clock::now() + kRest;
  durability->hurry();
  while (durability->wanted() && Clock::now() < deadline) TRY(turn());
  return {};
}

}  // namespace locki::mirror
