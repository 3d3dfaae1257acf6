// Manager: branches made inside besides the sandbox's own, brought out on request, and what becomes of them when it is removed.
#include <fmt/format.h>

#include "git/fetched_refs.h"
#include "sandbox/manager.h"

namespace locki::sandbox {

namespace {

constexpr std::chrono::minutes kFetchTime{35};  // a little longer than the worker gives it
constexpr std::chrono::seconds kListTime{70};   // the same

// The refs that go with a sandbox, as patterns.
std::vector<std::string> going_with(const Record& record, bool delete_branch) {
  std::vector<std::string> going{git::fetched_prefix(record.name) + "*"};
  if (delete_branch) going.push_back("refs/heads/" + record.name);
  return going;
}

}  // namespace

Result<json::object> Manager::fetch(const FetchRequest& request, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(request.where));
  const std::shared_lock awake(life_);
  {
    TRY_ASSIGN(const auto held, hold(record));
    TRY(bring_up(record, progress));
  }
  Phase phase(progress, "fetch", fmt::format("Fetching branches of {}", record.name));
  // First: what comes may take the place of what goes.
  std::map<std::string, git::ObjectId> pruned;
  if (request.prune && !request.list) {
    TRY_ASSIGN(pruned, prune_fetched(record));
  }
  json::array names;
  for (const auto& name : request.branches) names.emplace_back(name);
  TRY_ASSIGN(auto reply, mirrors_.ask(record.id, {{"request", "branches"}, {"list", request.list}, {"names", std::move(names)}}, kFetchTime));
  TRY_ASSIGN(const auto branches, json::get_array(reply, "branches"));
  TRY_ASSIGN(auto gone, json::get_array(reply, "gone"));
  TRY(json::get_array(reply, "left_out"));
  for (const auto& [branch, was] : pruned) gone.push_back(json::object{{"name", branch}, {"was", was}, {"deleted", true}});
  reply["gone"] = std::move(gone);
  if (!request.list) {
    for (const auto& branch : branches) {
      if (branch.is_object() && json::string_or(branch.get_object(), "state") != "same")
        audit_.write("fetched", record, {{"branch", json::string_or(branch.get_object(), "name")}, {"version", json::string_or(branch.get_object(), "oid")}});
    }
  }
  reply.erase("reply");
  reply.erase("ok");
  reply.erase("stashes");  // a matter of `remove`
  return reply;
}

// By the daemon, not by the mirror's worker: whoever deletes a ref rewrites packed-refs, which is beyond what that may write.
Result<std::map<std::string, git::ObjectId>> Manager::prune_fetched(const Record& record) {
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
  TRY(git::check_no_such_remote(repository));
  TRY_ASSIGN(const auto reply, mirrors_.ask(record.id, {{"request", "branches"}, {"list", true}}, kListTime));
  TRY_ASSIGN(const auto gone, json::get_array(reply, "gone"));
  if (const auto more = json::int_or(reply, "more"); more > 0)
    return fail(ErrorKind::kConflict, fmt::format("which branches are gone cannot be told: {} more are inside than can be listed", more));
  std::set<std::string> names;
  for (const auto& branch : gone) {
    if (branch.is_object()) names.insert(json::string_or(branch.get_object(), "name"));
  }
  TRY_ASSIGN(auto deleted, git::delete_fetched(repository, record.name, names, "locki: no longer inside"));
  for (const auto& [branch, was] : deleted) audit_.write("pruned", record, {{"branch", branch}, {"version", was}});
  return deleted;
}

Result<> Manager::note_other_branches(Record& record) {
  TRY_ASSIGN(const auto reply, mirrors_.ask(record.id, {{"request", "branches"}, {"list", true}}, kListTime));
  std::map<std::string, std::string> found;
  for (const char* list : {"branches", "left_out"}) {
    TRY_ASSIGN(const auto branches, json::get_array(reply, list));
    for (const auto& branch : branches) {
      if (branch.is_object()) found[json::string_or(branch.get_object(), "name")] = json::string_or(branch.get_object(), "oid");
    }
  }
  record.other_branches = std::move(found);
  record.stashes = json::int_or(reply, "stashes");
  return {};
}

Result<std::vector<std::string>> Manager::branches_inside_only(const RemoveRequest& request, const Record& record, const git::Repository& repository) const {
  const std::string prefix = git::fetched_prefix(record.name);
  TRY_ASSIGN(const auto fetched, git::refs_beneath(repository, prefix));
  std::vector<std::string> lines;
  for (const auto& [name, tip] : record.other_branches) {
    if (const auto here = fetched.find(prefix + name); here != fetched.end() && here->second == tip) continue;  // fetched_only() speaks of it
    // A commit that is not here, or that nothing here reaches once the sandbox is gone.
    if (git::is_object_id(tip) && repository.resolve(tip)) {
      const auto commits = git::commits_lost(repository, tip, going_with(record, request.delete_branch), 1);
      if (commits && *commits == 0) continue;
    }
    lines.push_back(fmt::format("a branch inside: {0} (locki fetch {1} brings it here)", printable(name), record.name));
  }
  if (record.stashes > 0) {
    lines.push_back(fmt::format("{} inside (there, `git stash branch NAME` makes one a branch)", record.stashes == 1 ? "a stash" : fmt::format("{} stashes", record.stashes)));
  }
  return lines;
}

Result<std::vector<std::string>> Manager::fetched_only(const RemoveRequest& request, const Record& record, const git::Repository& repository) const {
  const std::string prefix = git::fetched_prefix(record.name);
  TRY_ASSIGN(const auto refs, git::refs_beneath(repository, prefix));
  const auto going = going_with(record, request.delete_branch);
  std::vector<std::string> lines;
  for (const auto& [ref, oid] : refs) {
    TRY_ASSIGN(const auto commits, git::commits_lost(repository, oid, going));
    const std::string shown = git::fetched_short_name(record.name, printable(ref.substr(prefix.size())));
    if (commits > 0) lines.push_back(fmt::format("fetched, and on no branch of yours: {0} ({1} {2}; git branch NAME {0} keeps it)", shown, commits, commits == 1 ? "commit" : "commits"));
  }
  return lines;
}

Result<> Manager::remove_fetched(const Record& record, const git::Repository& repository, const ProgressSink& progress) const {
  TRY_ASSIGN(const auto deleted, context(git::delete_fetched(repository, record.name, std::nullopt, "locki: removed"), "while removing the branches that were fetched"));
  for (const auto& [branch, oid] : deleted) {
    const std::string shown = git::fetched_short_name(record.name, printable(branch));
    report(progress, {ProgressEvent::Kind::kNote, "remove", fmt::format("the fetched branch {} is gone (it was {})", shown, oid), std::nullopt});
  }
  return {};
}

}  // namespace locki::sandbox
