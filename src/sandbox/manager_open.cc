// Manager: bringing a sandbox up, from wherever it is, and opening it for a command.
#include <fmt/format.h>
#include <sys/stat.h>

#include <thread>
#include <utility>

#include "agents/render.h"
#include "base/hash.h"
#include "base/strings.h"
#include "git/worktree.h"
#include "sandbox/history_volume.h"
#include "sandbox/manager.h"
#include "sandbox/rest_mark.h"
#include "sandbox/tar.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {
constexpr std::chrono::milliseconds kBehindTheFirst{1500};
}

std::uint64_t modification_time(const fs::path& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 ? static_cast<std::uint64_t>(st.st_mtime) : 0;
}

bool Manager::is_up(const std::string& id) {
  const std::string state = mirrors_.status(id).state;
  return (state == "quiet" || state == "busy" || state == "closed") && machine_.working();
}

bool Manager::can_settle(const std::string& id) { return is_up(id) || (mirrors_.status(id).state == "starting" && machine_.working()); }

bool Manager::take_left_running(const std::string& id) {
  const std::scoped_lock guard(mutex_);
  return left_running_.erase(id) > 0;
}

ContainerSetup Manager::container_setup(const Record& record, const Config& config, const ProgressSink& progress) {
  Wishes wishes;
  if (auto repository = git::Repository::discover(git_, record.worktree)) {
    // From the commit the sandbox began at, never from what it wrote since.
    auto text = repository->file_at(record.base, "locki.toml", 65536);
    if (text && *text) {
      auto parsed = parse_wishes(**text);
      if (parsed) wishes = *parsed;
      else report(progress, {ProgressEvent::Kind::kWarning, "locki.toml", "locki.toml is left out: " + parsed.error().describe(), std::nullopt});
    }
  }
  note_wishes(record, wishes.net, config, progress);
  ContainerSetup setup = common_setup();
  std::vector<std::string> cut;
  setup.limits = limits_for(config, wishes, &cut);
  if (!cut.empty()) {
    report(progress, {ProgressEvent::Kind::kNote, "locki.toml", "the repository asks for more " + join(cut, ", ") + " than your config allows", std::nullopt});
  }
  return setup;
}

ContainerSetup Manager::common_setup() {
  ContainerSetup setup;
  setup.trust_archive = [this] { return machine_.trust_archive(); };
  setup.endpoint_program = installation_.libexec / "endpoint";
  setup.session_files = installation_.share / "session";
  setup.programs = fmt::format("{} {} {}", modification_time(setup.endpoint_program), modification_time(setup.session_files / "agent-session"),
                               modification_time(setup.session_files / "tmux.conf"));
  return setup;
}

Result<MirrorPlan> Manager::mirror_plan(const Record& record, const Config& config) const {
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
  MirrorPlan plan;
  plan.instance = record.instance;
  plan.endpoint = {std::string(kEndpoint)};
  if (const auto caller = gate_address(record.address)) plan.way = StreamWay{*caller, fmt::format("198.18.0.{}:{}", gate::HostTable::kAnyHost, kStreamPort)};
  plan.settings.sandbox = record.id;
  plan.settings.instance = record.incarnation;
  // After another boot the clone may not be what it was: what is missing there was not deleted by anybody.
  if (record.cloned_when > machine_.booted()) plan.settings.cloned = record.cloned_at;
  plan.settings.worktree = record.worktree;
  plan.settings.inside = record.worktree;
  plan.settings.state = (records_.directory_of(record.id) / "mirror").native();
  plan.settings.branch = record.name;
  plan.settings.git = git_.git;
  plan.settings.home = git_.home;
  TRY_ASSIGN(plan.settings.user_name, repository.user_name());
  TRY_ASSIGN(plan.settings.user_email, repository.user_email());
  plan.settings.include = config.include;
  TRY(add_hold_rules(plan.settings, config, repository));
  TRY(sys::make_directories(plan.settings.state, 0700));
  return plan;
}

Result<> Manager::bring_up(Record& record, const ProgressSink& progress, const agents::Agent* wanted) {
  auto up = bring_up_once(record, progress, wanted);
  if (up || up.error().kind() != ErrorKind::kUnavailable) return up;
  // A machine that dies in this very moment still looks alive for some of them: then the next one is started.
  for (int i = 0; i < 20 && machine_.running(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return machine_.running() ? up : bring_up_once(record, progress, wanted);
}

Result<> Manager::bring_up_once(Record& record, const ProgressSink& progress, const agents::Agent* wanted) {
  if (is_up(record.id) && machine_.reachable()) return {};
  const Attending user(*this);
  std::error_code error;
  if (!fs::exists(record.worktree, error)) {
    return fail(ErrorKind::kNotFound, fmt::format("the worktree {} is gone", printable(record.worktree)),
                fmt::format("locki remove --force {} clears what is left; the branch stays", record.name));
  }
  TRY_ASSIGN(const Config config, this->config());
  TRY(ensure_machine(config, wanted, progress));
  sweep();
  TRY_ASSIGN(auto client, machine_.incus());
  ContainerSetup setup = container_setup(record, config, progress);
  TRY_ASSIGN(setup.image_alias, machine_.image_alias());
  const bool settled = std::exchange(record.settled, false);
  TRY(records_.save(record));
  const bool runs = take_left_running(record.id) && record.cloned;
  bool made = false;
  {
    const std::scoped_lock one(containers_mutex_);
    if (!record.cloned) {
      TRY_ASSIGN(made, take_spare(*client, record, setup));
    }
    // A container of our own address must not find the gate closed.
    TRY(machine_.egress().admit(record, config));
    TRY(machine_.publish_names());
    if (!made && (!runs || record.programs != setup.programs)) {
      TRY_ASSIGN(made, ensure_container(*client, record, setup, progress));
    }
  }
  if (made) {
    // What an earlier container held is gone, with the agents' settings in it; a mirror that waits for it to come back is not this one's.
    mirrors_.stop(record.id, std::chrono::milliseconds(0));
    record.cloned = false;
    record.incarnation.clear();
    record.agents.clear();
    TRY(records_.save(record));
  }
  if (std::exchange(record.programs, setup.programs) != setup.programs) TRY(records_.save(record));
  const bool cloned_now = !record.cloned;
  if (cloned_now) {
    TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
    const fs::path state = records_.directory_of(record.id) / "mirror";
    TRY(sys::make_directories(state, 0700));
    if (!made) {
      // An attempt that was cut short may have left a volume attached.
      TRY(detach_history(*client, record.instance));
      sweep_again();
    }
    // Where there was a clone before, somebody may have worked: such a container gets no hand on what others begin from.
    std::optional<StoredHistory> shared;
    if (record.incarnation.empty()) {
      TRY_ASSIGN(shared, bring_shared_history(*client, record, repository, config, progress));
    }
    TRY_ASSIGN(record.cloned_at, clone_inside(*client, record, repository, {.max_history = config.max_history, .boundary_file = state / mirror::kBoundaryFile, .shared = shared}, progress));
    record.cloned = true;
    record.cloned_when = rest_mark_now();
    record.incarnation = random_hex(8);
    TRY(records_.save(record));
  }
  // A new clone of a clean worktree is what the host has, and so is what came to rest if the host did nothing since. Anything else may be behind:
  // what the user does next must not meet old files.
  const auto repository = git::Repository::discover(git_, record.worktree);
  const bool new_and_clean = cloned_now && repository && !git::is_dirty(*repository, record.worktree).value_or(true);
  const bool as_it_was = !cloned_now && settled && repository && repository->ref("refs/heads/" + record.name).value_or(std::nullopt) == record.rested_tip &&
                         unchanged_since(record.worktree, record.rested) && record.rested > machine_.booted();
  TRY_ASSIGN(auto plan, mirror_plan(record, config));
  // An emulated machine that was just woken has no processor to spare while somebody waits for a command's first output.
  if (runs && as_it_was) plan.begin_after = kBehindTheFirst;
  mirrors_.start(record.id, std::move(plan));
  if (new_and_clean || as_it_was) return {};
  Phase phase(progress, "mirror", "Bringing the files up to date");
  if (auto synced = mirrors_.sync(record.id, kSyncTime); !synced) {
    report(progress, {ProgressEvent::Kind::kWarning, "mirror", "the files inside may be behind: " + synced.error().describe(), std::nullopt});
  }
  if (const auto recovered = mirrors_.take_recovered(record.id); !recovered.empty())
    report(progress, {ProgressEvent::Kind::kWarning, "mirror", recovered, std::nullopt});
  return {};
}

Result<> Manager::set_up_agent(Record& record, const agents::Agent& agent, const ProgressSink& progress) {
  TRY_ASSIGN(auto client, machine_.incus());
  if (!record.agents.contains(agent.name)) {
    TRY(machine_.ensure_agent(agent, false, progress));
    Phase phase(progress, "agent.setup", fmt::format("Setting up {} in the sandbox", agent.title));
    const agents::SandboxContext context{record.name, record.name, record.worktree, std::string(kHome), "root"};
    TRY_ASSIGN(const auto files, agents::files_for(agent, agents_.note(), context));
    TarWriter tar;
    for (const auto& file : files) {
      std::string content = file.content;
      if (file.policy != agents::FilePolicy::kReplace) {
        auto there = client->pull_file(record.instance, file.path);
        const bool exists = there && there->kind == incus::FileKind::kFile;
        if (exists && file.policy == agents::FilePolicy::kOnce) continue;
        if (exists) content = agents::merged(content, there->content);
      }
      tar.file(file.path, content, file.mode);
    }
    incus::RunOptions options;
    options.input = tar.finish();
    TRY(client->run_ok(record.instance, {"/usr/bin/tar", "-x", "--no-same-owner", "-C", "/"}, options));
    record.agents.insert(agent.name);
    TRY(records_.save(record));
  }
  return logins_.bring_in(*client, record.instance, agent);
}

Result<Opened> Manager::open_sandbox(const OpenRequest& request, const ProgressSink& progress) {
  const std::shared_lock awake(life_);
  const agents::Agent* agent = nullptr;
  if (!request.agent.empty()) {
    TRY_ASSIGN(agent, agents_.get(request.agent));
  }
  TRY_ASSIGN(Opened opened, find_or_create(request, progress).map([](Record r) { return Opened{std::move(r), {}, {}}; }));
  Record& record = opened.record;
  TRY_ASSIGN(const auto held, hold(record));
  TRY(bring_up(record, progress, agent));
  if (agent != nullptr) {
    TRY_ASSIGN(const Config config, this->config());
    TRY(set_up_agent(record, *agent, progress));
    const agents::SandboxContext context{record.name, record.name, record.worktree, std::string(kHome), "root"};
    auto command = agents::command(*agent, context, {});
    opened.command = std::move(command.argv);
    opened.environment = std::move(command.environment);
    if (const auto own = config.agent_environment.find(agent->name); own != config.agent_environment.end()) {
      for (const auto& [key, value] : own->second) opened.environment[key] = value;
    }
  }
  if (agent != nullptr) audit_.write("agent", record, {{"agent", agent->name}});
  else audit_.write("command", record, {{"program", request.program}});
  session_begins(record.id);
  return opened;
}
}  // namespace locki::sandbox
