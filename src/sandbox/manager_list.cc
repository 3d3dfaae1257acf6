// Manager: the list of sandboxes. People and prompts ask for it often: git is asked as little as possible, all at once, and the machine is not.
#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "base/strings.h"
#include "git/filters.h"
#include "git/worktree.h"
#include "sandbox/manager.h"
#include "sys/process.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

using Switches = std::shared_future<Result<std::map<std::string, std::string>>>;

// The repository that a directory belongs to, as long as that can be told from the records without asking git.
std::string known_repository(const fs::path& cwd, const std::vector<Record>& records) {
  for (const auto& record : records) {
    if (lies_within(cwd, record.worktree)) return record.git_dir;
  }
  for (fs::path directory = cwd;; directory = directory.parent_path()) {
    std::error_code error;
    const fs::path git = directory / ".git";
    if (fs::exists(fs::symlink_status(git, error))) {
      const auto found = std::find_if(records.begin(), records.end(), [&](const Record& record) { return record.git_dir == git.native(); });
      return found == records.end() ? "" : found->git_dir;
    }
    if (directory == directory.parent_path()) return "";
  }
}

Result<std::string> ask_screens(incus::Client& client, const std::string& instance) {
  incus::RunOptions options;
  options.timeout = std::chrono::seconds(10);
  options.max_output = 4096;
  return client.run_ok(instance, {std::string(kAgentSession), "--state"}, options);
}

struct Work {
  json::value dirty, ahead;
};

Work work_of(const git::Program& program, const Record& record, const Switches& switches) {
  const auto repository = git::Repository::known(program, record.git_dir, record.worktree);
  Work work;
  auto count = std::async(std::launch::async, [&] {
    return sys::run_ok(repository.common_command({"rev-list", "--count", record.base + "..refs/heads/" + record.name, "--"}));
  });
  if (const auto& environment = switches.get()) {
    if (const auto dirty = git::is_dirty(repository, record.worktree, *environment)) work.dirty = *dirty;
  }
  if (const auto text = count.get()) work.ahead = static_cast<std::int64_t>(parse_u64(trim(*text)).value_or(0));
  return work;
}

}  // namespace

bool lies_within(const fs::path& path, const fs::path& directory) {
  const auto relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

Result<json::array> Manager::list(const std::string& cwd, bool all) const {
  std::vector<std::string> broken;
  TRY_ASSIGN(const auto records, records_.list(&broken));
  std::string only;
  if (!all) {
    only = known_repository(cwd, records);
    if (only.empty()) {
      if (auto repository = git::Repository::discover(git_, cwd)) only = repository->common_dir().native();
    }
  }
  auto* self = const_cast<Manager*>(this);
  const bool machine_runs = self->machine_.running(), machine_sleeps = !machine_runs && self->machine_.asleep();
  std::map<std::string, Switches> switches;  // of each repository: one question for all its worktrees
  std::vector<std::future<json::object>> pending;
  for (const auto& record : records) {
    if (!only.empty() && record.git_dir != only) continue;
    auto& of_repository = switches[record.git_dir];
    if (!of_repository.valid()) {
      of_repository = std::async(std::launch::async, [this, &record] { return git::filter_switches(git::Repository::known(git_, record.git_dir, record.worktree)); });
    }
    pending.push_back(std::async(std::launch::async, [this, self, &record, machine_runs, machine_sleeps, of_repository] {
      json::object o{{"name", record.name},         {"repo", record.repo},       {"branch", record.name},
                     {"worktree", record.worktree}, {"created", record.created}, {"instance", record.instance}, {"base", record.base}};
      json::array agents;
      for (const auto& agent : record.agents) agents.emplace_back(agent);
      o["agents"] = std::move(agents);
      const MirrorStatus mirror = mirrors_.status(record.id);
      std::error_code error;
      const bool there = fs::exists(record.worktree, error), up = machine_runs && mirror.state != "stopped";
      o["state"] = !there ? "broken" : up ? "running" : machine_sleeps && record.cloned ? "asleep" : "stopped";
      if (up && !record.agents.empty()) {
        json::object screens, ended;
        for (const auto& [agent, screen] : self->screens_of(record)) {
          screens[agent] = to_string(screen.state);
          if (screen.state == ScreenState::kFinished) ended[agent] = screen.status;
        }
        o["screens"] = std::move(screens);
        o["ended"] = std::move(ended);  // with which status
      }
      o["mirror"] = json::object{{"state", mirror.state}, {"held", mirror.state == "stopped" ? held_files(record).size() : mirror.held.size()},
                                {"conflicts", mirror.conflicts}, {"stuck", mirror.stuck.size()}, {"refused", mirror.refused}, {"branch_stuck", mirror.branch_stuck},
                                {"problem", mirror.problem}, {"recovered", mirror.recovered}};
      Work work = there ? work_of(git_, record, of_repository) : Work{};
      o["dirty"] = std::move(work.dirty);
      o["ahead"] = std::move(work.ahead);
      const std::scoped_lock guard(mutex_);
      const auto sessions = sessions_.find(record.id);
      o["sessions"] = sessions == sessions_.end() ? 0 : sessions->second;
      return o;
    }));
  }
  json::array out;
  for (auto& one : pending) out.push_back(one.get());
  for (const auto& why : broken) out.push_back(json::object{{"name", why.substr(0, why.find(':'))}, {"state", "broken"}, {"problem", why}});
  return out;
}

Screens Manager::screens_of(const Record& record) {
  const auto client = machine_.incus();
  if (!client) return {};
  return screens_.look(record.id, [client = *client, instance = record.instance] { return ask_screens(*client, instance); });
}

Result<> Manager::refuse_while_in_use(const Record& record, std::string_view verb) {
  std::size_t open = 0;
  {
    const std::scoped_lock guard(mutex_);
    if (const auto found = sessions_.find(record.id); found != sessions_.end()) open = found->second;
  }
  if (open > 0) {
    return fail(ErrorKind::kConflict, fmt::format("{} is in use by {} session{}", record.name, open, open == 1 ? "" : "s"), "end it, or use --force");
  }
  const auto client = machine_.incus();
  if (!client || record.agents.empty()) return {};
  // Asked anew: what the list knew may be some seconds old. A container that does not run has none.
  const auto said = ask_screens(**client, record.instance);
  if (!said) return {};
  const auto screens = parse_screens(*said);
  screens_.note(record.id, screens);
  for (const auto& [agent, screen] : screens) {
    if (screen.state == ScreenState::kFinished) continue;
    return fail(ErrorKind::kConflict,
                fmt::format("{} runs in {}{}, and would be ended", agent, record.name, screen.state == ScreenState::kWaiting ? " (it waits for you)" : ""),
                fmt::format("look at it: locki attach {0}; to {1} it all the same: --force", record.name, verb));
  }
  return {};
}

}  // namespace locki::sandbox
