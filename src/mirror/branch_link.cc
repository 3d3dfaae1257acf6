#include "mirror/branch_link.h"

#include <algorithm>

#include "base/log.h"
#include "git/fetched_refs.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::chrono::seconds kSilence{60};    // without a word of the far end
constexpr std::chrono::minutes kAtMost{30};     // for all of it
constexpr std::size_t kMaxHere = 2000;          // refs beneath one prefix

git::AcceptLimits accept_limits(const DoorLimits& limits) {
  git::AcceptLimits accept;
  accept.max_pack = limits.max_pack;
  accept.max_file = limits.max_file;
  return accept;
}

std::string state_of(const git::ObjectId& here, const git::ObjectId& oid) { return here.empty() ? "new" : here == oid ? "same" : "moved"; }

}  // namespace

BranchLink::BranchLink(git::Repository repository, const StartSettings& settings, DoorLimits limits, Context context)
    : repository_(std::move(repository)),
      branch_(settings.branch),
      prefix_(git::fetched_prefix(settings.branch)),
      fallen_file_(std::filesystem::path(settings.state) / "fetched-before"),
      limits_(limits),
      context_(std::move(context)) {}

void BranchLink::begin(const json::object& line) {
  const std::int64_t id = json::int_or(line, "id");
  if (request_) return context_.refuse(id, Error(ErrorKind::kUnavailable, "branches of this sandbox are being fetched already"));
  const bool list = json::bool_or(line, "list");
  if (auto clear = list ? Result<>{} : git::check_no_such_remote(repository_); !clear) return context_.refuse(id, clear.error());
  Request& request = request_.emplace(Request{});
  request.id = id;
  request.list = list;
  request.begun = request.heard = Clock::now();
  if (const json::array* names = json::array_or_null(line, "names")) {
    for (const json::value& name : *names) {
      if (name.is_string()) request.names.emplace(name.get_string());
    }
  }
  waiting_for_ = ++*context_.last_id;
  context_.door->expect_branches(waiting_for_);
  context_.stream->send(wire::ListBranches{waiting_for_});
}

void BranchLink::leave_out(std::string_view name, const git::ObjectId& oid, std::string_view why) {
  request_->left_out.push_back(json::object{{"name", printable(name, 300)}, {"oid", oid}, {"why", why}});
}

void BranchLink::branches(const wire::Branches& message) {
  if (message.id != waiting_for_) {
    abandoned_.erase(message.id);
    return;
  }
  waiting_for_ = 0;
  request_->heard = Clock::now();
  if (auto chosen = choose(message); !chosen) return end(chosen.error());
  if (request_->list) return answer();
  if (auto fetched = fetch(); !fetched) end(fetched.error());
}

// Which of them may come out, and which of those are wanted.
Result<> BranchLink::choose(const wire::Branches& message) {
  Request& request = *request_;
  request.more = message.more;
  request.stashes = message.stashes;
  TRY_ASSIGN(const auto here, git::refs_beneath(repository_, prefix_));
  if (here.size() > kMaxHere) return fail(ErrorKind::kNoSpace, "there are " + std::to_string(here.size()) + " refs beneath " + prefix_ + " already");
  // What is here stands; then in the order of their names, so that a clash has the same outcome each time.
  std::vector<std::string> names;
  for (const auto& [ref, oid] : here) names.push_back(ref.substr(prefix_.size()));
  std::map<std::string, git::ObjectId> listed;
  for (const wire::BranchTip& branch : message.branches) listed[branch.name] = branch.oid;
  std::map<std::string, std::string> bad;
  for (const auto& [name, oid] : listed) {
    if (name == branch_) bad[name] = "is the sandbox's own branch, which comes by itself";
    else if (const auto why = git::why_not_fetched(name)) bad[name] = *why;
    else names.push_back(name);
  }
  for (const auto& [name, other] : git::clashes(names)) {
    const bool is_here = here.contains(prefix_ + other);
    bad[name] = "cannot be beside " + other + (is_here ? ", which was fetched before: git update-ref -d " + prefix_ + other : "");
  }
  for (const std::string& name : request.names) {
    if (const auto why = bad.find(name); why != bad.end()) return fail(ErrorKind::kConflict, "the branch '" + printable(name) + "' stays inside: it " + why->second);
    if (!listed.contains(name)) return fail(ErrorKind::kNotFound, "there is no branch '" + printable(name) + "' inside");
  }
  for (const auto& [name, oid] : listed) {
    if (!request.names.empty() && !request.names.contains(name)) continue;
    if (const auto why = bad.find(name); why != bad.end()) {
      leave_out(name, oid, why->second);
      continue;
    }
    const auto there = here.find(prefix_ + name);
    Branch branch{name, prefix_ + name, oid, there == here.end() ? "" : there->second};
    if (fell_back(branch)) leave_out(name, oid, "fell back with the sandbox's disk; what was fetched before stays: inside, git merge --ff-only " + branch.here);
    else request.branches.push_back(std::move(branch));
  }
  // One of those that are not listed may be the one that seems to be gone.
  if (request.more > 0) return {};
  for (const auto& [ref, oid] : here) {
    const std::string name = ref.substr(prefix_.size());
    if (!listed.contains(name)) request.gone.push_back({name, ref, "", oid});
  }
  return {};
}

Result<> BranchLink::note_fallen() {
  TRY_ASSIGN(const auto here, git::refs_beneath(repository_, prefix_));
  if (here.empty()) return {};
  std::string text;
  for (const auto& [ref, oid] : here) text += oid + " " + ref + "\n";
  return sys::write_file(fallen_file_, text, 0600);
}

// It stands at a commit behind what was fetched before the sandbox fell back, and that is what is still here.
bool BranchLink::fell_back(const Branch& branch) const {
  if (branch.here.empty() || branch.here == branch.oid) return false;
  const auto noted = sys::read_file(fallen_file_);
  if (!noted || noted->find(branch.here + " " + branch.ref + "\n") == std::string::npos) return false;
  return repository_.is_ancestor(branch.oid, branch.here).value_or(false);
}

Result<> BranchLink::fetch() {
  Request& request = *request_;
  std::set<git::ObjectId> wants, haves;
  for (const Branch& branch : request.branches) {
    if (branch.here != branch.oid) wants.insert(branch.oid);
    if (!branch.here.empty()) haves.insert(branch.here);
  }
  if (wants.empty()) {
    answer();
    return {};
  }
  for (git::ObjectId& oid : context_.common()) haves.insert(std::move(oid));
  request.wants.assign(wants.begin(), wants.end());
  TRY_ASSIGN(request.quarantine, git::Quarantine::begin(repository_, accept_limits(limits_)));
  waiting_for_ = ++*context_.last_id;
  context_.door->expect_pack(waiting_for_);
  context_.stream->send(wire::GitFetch{waiting_for_, request.wants, {haves.begin(), haves.end()}});
  return {};
}

Result<> BranchLink::pack(const wire::Pack& pack) {
  if (pack.id != waiting_for_) return {};
  request_->heard = Clock::now();
  if (pack.oid != request_->wants.front()) return fail(ErrorKind::kProtocol, "a pack for another commit than was asked for");
  return {};
}

void BranchLink::data(const wire::Data& data) {
  const bool over = data.last || data.failed;
  if (data.id != waiting_for_) {
    if (over) abandoned_.erase(data.id);
    return;
  }
  Request& request = *request_;
  request.heard = Clock::now();
  if (data.failed) {
    waiting_for_ = 0;
    return end(Error(ErrorKind::kFailed, "the sandbox could not send its commits"));
  }
  if (!request.failed) {
    if (auto written = request.quarantine->write(as_bytes(data.bytes)); !written) {
      request.failed = written.error();
      request.quarantine.reset();
    }
  }
  if (!data.last) return;
  waiting_for_ = 0;
  if (request.failed) return end(*request.failed);
  if (auto accepted = accept(); !accepted) return end(accepted.error());
  answer();
}

Result<> BranchLink::accept() {
  Request& request = *request_;
  // All that the user's refs reach is the user's, or was looked at when it came.
  TRY(context(request.quarantine->check(request.wants, {.commits = {}, .all_refs = true}), "while checking what came out"));
  TRY(request.quarantine->migrate());
  sys::fault_point("branches.migrated");
  std::vector<git::RefMove> moves;
  for (const Branch& branch : request.branches) {
    if (branch.here != branch.oid) moves.push_back({branch.ref, branch.oid, branch.here});
  }
  TRY(git::move_refs(repository_, moves, "locki: fetched from inside"));
  sys::fault_point("branches.moved");
  return {};
}

void BranchLink::answer() {
  const Request request = std::move(*request_);
  request_.reset();
  json::array branches;
  for (const Branch& branch : request.branches) {
    branches.push_back(json::object{{"name", branch.name}, {"ref", branch.ref}, {"oid", branch.oid}, {"was", branch.here}, {"state", state_of(branch.here, branch.oid)}});
  }
  json::array gone;
  for (const Branch& branch : request.gone) gone.push_back(json::object{{"name", branch.name}, {"ref", branch.ref}, {"was", branch.here}});
  context_.reply(request.id, {{"branches", std::move(branches)}, {"gone", std::move(gone)}, {"left_out", request.left_out}, {"more", request.more}, {"stashes", request.stashes}});
}

void BranchLink::end(const Error& error) {
  const std::int64_t id = request_->id;
  request_.reset();
  log::info("branches: {}", printable(error.describe()));
  context_.refuse(id, error);
}

void BranchLink::done(const wire::Done& done) {
  if (done.id != waiting_for_) {
    abandoned_.erase(done.id);
    return;
  }
  waiting_for_ = 0;
  end(Error(ErrorKind::kFailed, "the sandbox could not answer: " + printable(done.message, 1000)));
}

void BranchLink::tick(Clock::time_point now) {
  if (!request_ || (now < request_->heard + kSilence && now < request_->begun + kAtMost)) return;
  abandoned_.insert(std::exchange(waiting_for_, 0));
  end(Error(ErrorKind::kTimeout, "the sandbox did not answer in time"));
}

}  // namespace locki::mirror
