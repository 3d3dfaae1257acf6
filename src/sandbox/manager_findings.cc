// Manager: the return gate over a sandbox's branch and worktree. What the sandbox wrote is parsed by a confined program (review/request.h).
#include <fmt/format.h>

#include <algorithm>

#include "git/fetched_refs.h"
#include "mirror/history.h"
#include "review/request.h"
#include "sandbox/held_report.h"
#include "sandbox/manager.h"
#include "sandbox/shown_branch.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxBases = 8;

// Where the branch began, or a later commit of the branch it began from that it has taken up since: what came with that is the user's.
Result<git::ObjectId> beginning(const git::Repository& repository, const Record& record, const git::ObjectId& tip) {
  git::ObjectId base = git::is_object_id(record.base) ? record.base : "";
  auto upstream = record.upstream_of.empty() ? Result<std::optional<git::ObjectId>>(std::nullopt) : repository.ref("refs/heads/" + record.upstream_of);
  if (!upstream || !*upstream) {
    if (base.empty()) return fail(ErrorKind::kNotFound, fmt::format("it is not known where {} began", record.name));
    return base;
  }
  TRY_ASSIGN(const auto common, repository.merge_bases(**upstream, tip));
  for (const git::ObjectId& commit : common) {
    if (base.empty()) return commit;
    TRY_ASSIGN(const bool later, repository.is_ancestor(base, commit));
    if (later) base = commit;
  }
  if (base.empty()) return fail(ErrorKind::kNotFound, fmt::format("{} and {} have no common history", record.name, record.upstream_of));
  return base;
}

Result<std::vector<git::ObjectId>> bases_of(const git::Repository& repository, const Record& record, const git::ObjectId& tip, const std::string& into) {
  if (into.empty()) {
    TRY_ASSIGN(const auto base, beginning(repository, record, tip));
    return std::vector<git::ObjectId>{base};
  }
  if (!git::is_object_id(into)) return fail(ErrorKind::kUsage, "what to merge into is no commit");
  TRY_ASSIGN(auto bases, repository.merge_bases(into, tip));
  if (bases.empty()) return fail(ErrorKind::kConflict, fmt::format("{} has no history in common with what it is to be merged into", record.name));
  if (bases.size() > kMaxBases) return fail(ErrorKind::kConflict, fmt::format("{} was merged crosswise too often to say what a merge brings", record.name));
  return bases;
}

// What was let in by the user, just so, was seen.
bool was_let_in(const review::Judged& finding, const std::map<std::string, std::vector<std::string>>& accepted) {
  if (finding.rule != "held" || (finding.mode != review::kModeFile && finding.mode != review::kModeProgram)) return false;
  const auto found = accepted.find(finding.path);
  const auto content = Hash::from_hex(finding.content);
  if (found == accepted.end() || !content) return false;
  const auto id = mirror::content_id(mirror::Entry::file(0, *content, finding.mode == review::kModeProgram));
  return std::find(found->second.begin(), found->second.end(), id) != found->second.end();
}

}  // namespace

Result<> Manager::bring_out(Record& record, const ProgressSink& progress) {
  bool up = false;
  {
    TRY_ASSIGN(const auto held, hold(record));
    // "Settled" is about a sandbox at rest: one that is up may have gone on since.
    up = record.cloned && (!record.settled || is_up(record.id));
    if (up) TRY(bring_up(record, progress));
  }
  if (up) {
    Phase phase(progress, "sync", "Waiting until both sides agree");
    TRY_ASSIGN(const json::object reply, context(mirrors_.sync(record.id, kSyncTime), fmt::format("while waiting for {}", record.name)));
    if (const auto branch = json::string_or(reply, "branch"); !branch.empty())
      return fail(ErrorKind::kConflict, fmt::format("the newest commits of {} do not come out: {}", record.name, printable(branch, 2000)), "locki doctor");
  }
  const std::string refused = mirrors_.status(record.id).refused;
  if (!refused.empty()) return fail(ErrorKind::kConflict, fmt::format("the newest commits of {} were refused: {}", record.name, refused), "locki doctor");
  return {};
}

Result<json::object> Manager::findings(const Record& record, const std::string& into, const std::string& branch) const {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
  const bool own = branch.empty();
  if (!own && git::why_not_fetched(branch)) return fail(ErrorKind::kUsage, fmt::format("no branch \"{}\" can come from a sandbox", printable(branch, 200)));
  TRY_ASSIGN(const auto tip, repository.ref(own ? "refs/heads/" + record.name : git::fetched_prefix(record.name) + branch));
  if (!tip && !own) return fail(ErrorKind::kNotFound, fmt::format("the branch {} was not fetched", branch), fmt::format("locki fetch {} {}", record.name, branch));
  if (!tip) return fail(ErrorKind::kNotFound, fmt::format("the branch {} is gone", record.name), "git branch " + record.name + " COMMIT makes it anew");
  review::Request request{.git = git_.git, .home = git_.home, .worktree = record.worktree, .tip = *tip, .uncommitted = own && into.empty()};
  TRY_ASSIGN(request.bases, bases_of(repository, record, *tip, into));
  mirror::StartSettings rules;
  TRY(add_hold_rules(rules, config, repository));
  request.held_rules = std::move(rules.hold_rules);
  request.hold = std::move(rules.hold);
  request.allow = std::move(rules.allow);
  TRY_ASSIGN(request.return_rules, context(sys::read_file(installation_.share / "review" / "return.rules", 1 << 20), "while reading the return gate's rules"));
  request.report = config.review_report;
  request.ignore = config.review_ignore;
  if (request.uncommitted) {
    const auto history = mirror::History::open_existing(git_, records_.directory_of(record.id) / "mirror" / "history");
    // Without one nothing came out yet.
    if (history) {
      if (const auto state = history->tree(""); state) {
        for (const auto& [path, entry] : *state)
          if (entry.kind != mirror::EntryKind::kDirectory && is_utf8(path)) request.known.push_back(path);
      }
    }
  }
  TRY_ASSIGN(auto report, context(review::ask(installation_.libexec / "review", request), "while looking at the branch " + record.name));
  const auto accepted = load_accepted(records_.directory_of(record.id));
  std::erase_if(report.findings, [&](const review::Judged& finding) { return was_let_in(finding, accepted); });
  json::object reply = review::to_json(report);
  reply["tip"] = *tip;
  // A merge that goes on in spite of findings takes only what was shown: this tip, compared with these commits.
  const std::string shown = *tip + " " + join(request.bases, " ");
  const fs::path directory = records_.directory_of(record.id);
  reply["shown_before"] = was_shown(directory, shown);
  TRY(note_shown(directory, shown));
  return reply;
}

}  // namespace locki::sandbox
