// Manager: the use cases about the machine as a whole.
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/strings.h"
#include "sandbox/manager.h"
#include "sandbox/rest_mark.h"
#include "sys/file.h"
#include "sys/landlock.h"
#include "sys/process.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

Result<json::object> Manager::machine_status() {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(json::object status, machine_.status(config));
  std::uint64_t histories = 0;
  for (const auto& history : histories_.all()) histories += history.bytes;
  status["histories_bytes"] = histories;
  status["spares"] = pool_.ready();
  status["spares_wanted"] = config.pool;
  return status;
}

Result<> Manager::build_machine(const ProgressSink& progress) {
  TRY_ASSIGN(const Config config, this->config());
  std::vector<const agents::Agent*> wanted;
  for (const auto& name : config.vm.agents) {
    TRY_ASSIGN(const agents::Agent* agent, context(agents_.get(name), "in the config, [vm] agents"));
    wanted.push_back(agent);
  }
  const std::shared_lock awake(life_);
  return machine_.build(config, wanted, progress);
}

Result<> Manager::start_machine(const ProgressSink& progress) {
  TRY_ASSIGN(const Config config, this->config());
  const std::shared_lock awake(life_);
  return ensure_machine(config, nullptr, progress);
}

Result<> Manager::bring_home(Record& record, std::chrono::milliseconds patience, const ProgressSink& progress) {
  if (!can_settle(record.id)) return {};
  Phase phase(progress, "sync." + record.id, fmt::format("Bringing home what {} did", record.name));
  (void)settle(record, patience);
  return records_.save(record);
}

Result<> Manager::settle(Record& record, std::chrono::milliseconds patience) {
  // Both marks are from before: what happens meanwhile is then taken for a change.
  record.rested = rest_mark_now();
  const auto repository = git::Repository::discover(git_, record.worktree);
  const auto tip = repository ? repository->ref("refs/heads/" + record.name).value_or(std::nullopt) : std::nullopt;
  record.rested_tip = tip.value_or("");
  const auto synced = mirrors_.sync(record.id, patience);
  record.settled = synced && all_came_out(*synced) && note_other_branches(record);
  if (!synced) return fail(synced.error());
  return {};
}

Result<> Manager::nobody_uses_it(std::string_view remedy) const {
  if (sessions() > 0) return fail(ErrorKind::kConflict, fmt::format("{} sandboxes are in use", sessions()), std::string(remedy));
  return {};
}

Result<> Manager::rest(std::chrono::milliseconds patience, const ProgressSink& progress) {
  TRY_ASSIGN(auto records, records_.list());
  {
    const std::scoped_lock guard(mutex_);
    rested_.clear();
    left_running_.clear();
  }
  for (auto& record : records) {
    const auto held = hold(record);
    if (!held) continue;  // removed meanwhile
    TRY(bring_home(record, patience, progress));
    if (is_up(record.id) && mirrors_.status(record.id).state != "closed") {
      const std::scoped_lock guard(mutex_);
      rested_.insert(record.id);
    }
    mirrors_.stop(record.id);
  }
  sweep_again();
  return {};
}

Result<> Manager::stop_machine(bool force, const ProgressSink& progress) {
  if (machine_.asleep()) {
    // Its memory may hold what is not on its disk yet: it is woken to shut down in good order.
    TRY_ASSIGN(const Config config, this->config());
    TRY(machine_.ensure(config, nullptr, progress));
  }
  const std::unique_lock alone(life_);
  if (!force) {
    TRY(nobody_uses_it("end those sessions, or: locki vm stop --force"));
    TRY_ASSIGN(const auto records, records_.list());
    for (const auto& record : records) TRY(refuse_while_in_use(record, "stop"));
  }
  TRY(rest(kBringHome, progress));
  TRY(machine_.stop(progress));
  TRY(pool_.clear());
  machine_.egress().dismiss_all();
  return {};
}

Result<> Manager::suspend_machine(bool force, const ProgressSink& progress) {
  const std::unique_lock alone(life_);
  if (machine_.asleep()) return {};
  if (!force) TRY(nobody_uses_it("end those sessions, or: locki vm suspend --force"));
  TRY(rest(kBringHome, progress));
  return machine_.suspend(progress);
}

Result<> Manager::sleep_before_the_end() {
  // Whoever stops us does not wait long. What is not home by then comes when the machine wakes: the mirror's own state is on the disk.
  constexpr std::chrono::seconds kEach{5};
  const std::unique_lock alone(life_);
  if (!machine_.running()) return {};
  TRY(rest(kEach, {}));
  TRY(machine_.suspend({}));
  machine_.wait_until_durable();
  return {};
}

void Manager::look_for_idleness() {
  const auto config = this->config();
  if (!config || !config->vm.idle || !machine_.running()) return;
  Activity activity = machine_.activity();
  activity.sessions = sessions();
  if (!idle_.idle(activity, *config->vm.idle)) return;
  log::info("the machine is idle: it is put to sleep");
  if (auto suspended = suspend_machine(false, {}); !suspended) log::warning("{}", suspended.error().describe());
}

Result<> Manager::nothing_to_lose(const ProgressSink& progress) {
  TRY(nobody_uses_it("end those sessions, or use --force"));
  TRY_ASSIGN(auto records, records_.list());
  std::vector<std::string> unsettled;
  for (auto& record : records) {
    const auto held = hold(record);
    if (!held) continue;  // removed meanwhile
    TRY(refuse_while_in_use(record, "delete"));
    TRY(bring_home(record, kBringHome, progress));
    if (record.cloned && !record.settled) unsettled.push_back(record.name);
  }
  if (unsettled.empty()) return {};
  return fail(ErrorKind::kConflict, "these sandboxes may hold work that is not on the host yet: " + join(unsettled, ", "),
              "bring it here: locki sync NAME; or use --force");
}

Result<> Manager::delete_machine(bool keep_golden, const ProgressSink& progress) {
  const std::unique_lock alone(life_);
  TRY_ASSIGN(auto records, records_.list());
  for (auto& record : records) {
    const auto held = hold(record);
    if (!held) continue;  // removed meanwhile
    mirrors_.stop(record.id);
    // The next start makes the container anew from the branch and the worktree's files.
    record.cloned = false;
    record.settled = true;
    record.agents.clear();
    TRY(records_.save(record));
  }
  TRY(pool_.clear());
  TRY(histories_.clear());
  return machine_.remove(keep_golden, progress);
}

Result<std::uint64_t> Manager::prune_machine() {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const json::object known, roots_status(paths_, installation_, config));
  const fs::path roots = paths_.cache / "roots";
  std::uint64_t freed = 0;
  std::error_code error;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(roots, error)) {
    const std::string name = entry.path().filename();
    if (!entry.is_directory(error) || name.find(".partial-") != std::string::npos) continue;  // a build in progress cleans up itself
    const auto dash = name.find('-');
    const auto* root = json::object_or_null(known, name.substr(0, dash));
    if (root != nullptr && json::string_or(*root, "key") == name.substr(dash + 1)) continue;
    old.push_back(entry.path());
  }
  // A running machine may have been started from roots of an older recipe.
  if (!old.empty() && machine_.running()) return fail(ErrorKind::kConflict, "the machine runs, and may use what would go", "locki vm stop, then again");
  for (const auto& path : old) {
    for (const auto& file : fs::recursive_directory_iterator(path, error)) {
      struct stat st {};
      if (::lstat(file.path().c_str(), &st) == 0) freed += static_cast<std::uint64_t>(st.st_blocks) * 512;
    }
    TRY(sys::remove_tree(path));
  }
  return freed;
}

Result<json::array> Manager::doctor() {
  json::array checks;
  const auto add = [&](std::string_view name, bool ok, std::string detail, std::string remedy) {
    checks.push_back(json::object{{"name", name}, {"ok", ok}, {"detail", std::move(detail)}, {"remedy", ok ? "" : std::move(remedy)}});
  };
  for (const char* program : {"git", "mmdebstrap", "tar"}) {
    const auto found = sys::find_program(program);
    add(fmt::format("program {}", program), found.has_value(), found.value_or("not installed"), fmt::format("apt-get install {}", program));
  }
  const auto config = this->config();
  add("config", config.has_value(), config ? (paths_.config / "config.toml").native() : config.error().describe(), "correct the file");
  for (const auto& [name, path, least] : {std::tuple{"space for the cache", paths_.cache, 4ULL << 30}, std::tuple{"space for the machine", paths_.state, 8ULL << 30}}) {
    const auto free = sys::free_space(path);
    add(name, free && *free >= least, free ? human_bytes(*free) + " free" : free.error().describe(), "free some space in " + path.native());
  }
  const int landlock = sys::landlock_version();
  add("confinement of what reads a sandbox's files", landlock >= sys::kLeastLandlock, landlock > 0 ? fmt::format("Landlock version {}", landlock) : "this kernel has no Landlock, or it is switched off",
      "a kernel of 5.19 or newer, with landlock among lsm= of its command line; until then a system call filter alone holds the mirror's worker and the review's reader");
  if (auto status = machine_status()) {
    const std::string state = json::string_or(*status, "state");
    const std::string problem = json::string_or(*status, "problem");
    add("machine", problem.empty(), problem.empty() ? state : problem, "free some space if its disk is full; else: locki vm stop; locki vm start");
    if (state == "running") {
      const bool kvm = json::string_or(*status, "accelerator") == "kvm";
      add("acceleration", kvm, kvm ? "kvm" : "emulated: " + json::string_or(*status, "accelerator_note", "tcg"), "give your user access to /dev/kvm (group kvm), or enable virtualisation in the firmware");
      auto client = machine_.incus();
      const auto server = client ? (*client)->server(std::chrono::seconds(10)) : fail(std::move(client).error());
      add("incusd", server.has_value(), server ? "version " + printable(server->version) : server.error().describe(), "locki vm stop; locki vm start");
    }
  } else {
    add("machine", false, status.error().describe(), "locki vm delete --force removes it; worktrees and branches stay");
  }
  std::vector<std::string> broken;
  if (auto records = records_.list(&broken)) {
    for (const auto& record : *records) {
      const auto mirror = mirrors_.status(record.id);
      if (!mirror.refused.empty()) add("commits of " + record.name, false, "refused: " + mirror.refused, "they stay inside; the agent was told why");
      if (!mirror.branch_stuck.empty()) add("branch of " + record.name, false, mirror.branch_stuck, "files go on travelling; it is tried again by itself, and at once when the branch moves");
      if (!mirror.stuck.empty()) {
        add("files of " + record.name, false, fmt::format("{} cannot be carried, {} among them: {}", mirror.stuck.size(), printable(mirror.stuck.begin()->first), mirror.stuck.begin()->second), "locki sync " + record.name + " names all of them");
      }
      if (mirror.state == "closed" || mirror.state == "failed") {
        add("mirror of " + record.name, false, mirror.problem, mirror.state == "closed" ? "the sandbox broke the rules of the mirror: look at it, then locki start " + record.name : "it is tried again by itself");
      }
    }
  }
  for (const auto& why : broken) add("record", false, why, "locki remove --force clears it");
  return checks;
}

}  // namespace locki::sandbox
