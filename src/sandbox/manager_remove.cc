// Manager: removing sandboxes, and what is left of removed ones.
#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "git/filters.h"
#include "git/worktree.h"
#include "mirror/staging.h"
#include "sandbox/manager.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

Result<> Manager::refuse_to_lose_work(const RemoveRequest& request, Record& record, const ProgressSink& progress) {
  std::error_code error;
  if (!fs::exists(record.worktree, error)) return {};
  json::object reply;
  // "Settled" is about a sandbox at rest: one that is up may have gone on since.
  if (record.cloned && (!record.settled || is_up(record.id))) {
    TRY(bring_up(record, progress));
    auto synced = mirrors_.sync(record.id, kSyncTime);
    if (!synced) {
      return fail(ErrorKind::kConflict, fmt::format("what is inside {} could not be brought here: {}", record.name, synced.error().describe()),
                  "remove it with --force if it may be lost");
    }
    reply = std::move(*synced);
    TRY(context(note_other_branches(record), fmt::format("while asking which branches {} has", record.name)));
  }
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
  std::vector<std::string> lost;
  auto status = repository.command({"status", "--porcelain", "--untracked-files=all"});
  TRY(git::disable_filters(repository, status));
  TRY_ASSIGN(const std::string changes, sys::run_ok(status));
  for (const auto& line : split_lines(changes)) lost.push_back("not committed: " + printable(line));
  for (auto& line : left_inside(record, repository, reply)) lost.push_back(std::move(line));
  if (request.delete_branch && record.made_branch) {
    TRY_ASSIGN(const auto commits, git::unmerged_commits(repository, record.name));
    for (const auto& commit : commits) lost.push_back("on this branch only: " + printable(commit));
  }
  TRY_ASSIGN(auto fetched, fetched_only(request, record, repository));
  for (auto& line : fetched) lost.push_back(std::move(line));
  TRY_ASSIGN(auto inside, branches_inside_only(request, record, repository));
  for (auto& line : inside) lost.push_back(std::move(line));
  if (lost.empty()) return {};
  std::string message = fmt::format("removing {} would lose work:", record.name);
  for (std::size_t i = 0; i < lost.size() && i < 20; ++i) message += "\n  " + lost[i];
  if (lost.size() > 20) message += fmt::format("\n  … and {} more", lost.size() - 20);
  return fail(ErrorKind::kConflict, std::move(message), "commit or copy what you need, or use --force");
}

Result<> Manager::remove_parts(const Record& record, const RemoveRequest& request, const ProgressSink& progress) {
  const Attending user(*this);
  Phase phase(progress, "remove", fmt::format("Removing {}", record.name));
  mirrors_.stop(record.id, std::chrono::milliseconds(0));
  if (machine_.running()) {
    // A machine that does not answer keeps the container; sweep() finds it later.
    const std::scoped_lock one(containers_mutex_);
    if (auto client = machine_.incus()) TRY(remove_container(**client, record.instance));
  }
  machine_.egress().dismiss(record);
  auto repository = git::Repository::discover(git_, record.repo);
  if (!repository) repository = git::Repository::discover(git_, record.worktree);  // "repo" was a worktree that is gone
  if (repository) {
    TRY(git::remove_worktree(*repository, record.worktree));
    if (request.delete_branch) {
      TRY_ASSIGN(const auto tip, repository->ref("refs/heads/" + record.name));
      if (tip) TRY(git::delete_branch(*repository, record.name, *tip));
    }
    TRY(remove_fetched(record, *repository, progress));
  } else {
    TRY(sys::remove_tree(record.worktree));
  }
  (void)sys::remove_tree(mirror::staging_beside(record.worktree));  // mostly there is none
  TRY(records_.remove(record.id));
  if (auto client = machine_.running() ? machine_.incus() : fail(ErrorKind::kUnavailable, "")) sweep_histories(**client);
  audit_.write("removed", record, {{"forced", request.force}, {"branch_deleted", request.delete_branch}});
  return {};
}

Result<Record> Manager::remove(const RemoveRequest& request, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(request.where));
  const std::shared_lock awake(life_);
  TRY_ASSIGN(const auto held, hold(record));
  if (!request.force) {
    if (machine_.asleep() && !record.agents.empty()) {
      // Whether an agent sleeps in there, too, only the machine knows.
      TRY_ASSIGN(const Config config, this->config());
      TRY(ensure_machine(config, nullptr, progress));
    }
    TRY(refuse_while_in_use(record, "remove"));
    TRY(refuse_to_lose_work(request, record, progress));
  }
  TRY(remove_parts(record, request, progress));
  return record;
}

Result<json::array> Manager::remove_merged(const std::string& cwd, const ProgressSink& progress) {
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, cwd));
  TRY_ASSIGN(const auto records, records_.list());
  json::array removed;
  for (const auto& record : records) {
    if (record.git_dir != repository.common_dir().native() || record.upstream_of.empty()) continue;
    TRY_ASSIGN(const auto tip, repository.ref("refs/heads/" + record.name));
    TRY_ASSIGN(const auto upstream, repository.ref("refs/heads/" + record.upstream_of));
    // A branch that never moved is not merged, it is new.
    if (!tip || !upstream || *tip == record.base) continue;
    TRY_ASSIGN(const bool merged, repository.is_ancestor(*tip, *upstream));
    if (!merged) continue;
    auto gone = remove({.where = {cwd, record.name}, .force = false, .delete_branch = record.made_branch}, progress);
    if (gone) {
      removed.emplace_back(record.name);
    } else {
      report(progress, {ProgressEvent::Kind::kWarning, "remove", record.name + " stays: " + gone.error().describe(), std::nullopt});
    }
  }
  return removed;
}

void Manager::sweep() {
  {
    const std::scoped_lock guard(mutex_);
    if (std::exchange(swept_, true)) return;
  }
  auto client = machine_.incus();
  if (!client) return;
  // While nobody makes or takes over one.
  const std::scoped_lock one(containers_mutex_);
  auto instances = (*client)->list_instances();
  std::vector<std::string> broken;
  const auto records = records_.list(&broken);
  if (!instances || !records || !broken.empty()) return;  // whose a container is can only be said when all is known
  std::set<std::string> owned;
  for (const auto& record : *records) owned.insert(record.instance);
  for (const auto& spare : pool_.all()) owned.insert(spare.instance);
  for (const auto& instance : *instances) {
    if (!instance.config.contains("user.locki.id") || owned.contains(instance.name)) continue;
    log::info("removing the container {}: it is nobody's", printable(instance.name));
    if (auto removed = remove_container(**client, instance.name); !removed) log::warning("{}", removed.error().describe());
  }
  sweep_histories(**client);
}

void Manager::sweep_again() {
  const std::scoped_lock guard(mutex_);
  swept_ = false;
}
}  // namespace locki::sandbox
