#include "sandbox/manager.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "agents/render.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "git/worktree.h"
#include "mirror/history.h"
#include "sandbox/agent_store.h"
#include "sandbox/tar.h"
#include "sandbox/undo.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kSyncTime{120'000};
constexpr milliseconds kWakeOthers{1'500};  // the command that woke the machine goes first

std::string now_text() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

// Incus names: letters, digits, hyphens, not first or last, at most 63. The id makes it unique; the name is for people.
std::string instance_name(const std::string& name, const std::string& id) {
  std::string slug;
  for (const char c : ascii_lower(name)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain || (!slug.empty() && slug.back() != '-')) slug += plain ? c : '-';
  }
  slug = slug.substr(0, 40);
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return fmt::format("lk-{}{}{}", slug, slug.empty() ? "" : "-", id);
}

bool lies_in(const fs::path& path, const fs::path& directory) {
  const auto relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

Result<std::unique_ptr<Manager>> Manager::open(const sys::Paths& paths, const sys::Installation& installation) {
  TRY_ASSIGN(auto table, agents::load_table(installation.share / "agents", paths.config / "agents"));
  TRY_ASSIGN(auto git, git::find_git(paths.home.native()));
  return std::unique_ptr<Manager>(new Manager(paths, installation, std::move(table), std::move(git)));
}

Manager::Manager(const sys::Paths& paths, const sys::Installation& installation, agents::AgentTable table, git::Program git)
    : paths_(paths),
      installation_(installation),
      agents_(std::move(table)),
      records_(paths.state / "sandboxes"),
      machine_(paths, installation),
      logins_(paths.agent_home()),
      git_(std::move(git)),
      audit_(paths.state / "audit.jsonl"),
      mirrors_(installation.libexec, paths.state / "mirror.log", [this] { return machine_.incus(); },
               [this](const std::string& id, const mirror::Event& event) { note_import(id, event); }) {
  std::vector<std::string> hosts;
  for (const auto& agent : agents_.all()) hosts.insert(hosts.end(), agent.hosts.begin(), agent.hosts.end());
  machine_.egress().set_agent_hosts(std::move(hosts));
}

Manager::~Manager() = default;

Result<Config> Manager::config() const { return load_config(paths_.config / "config.toml", this_host()); }

std::unique_lock<std::mutex> Manager::lock(const std::string& id) {
  std::mutex* found = nullptr;
  {
    const std::scoped_lock guard(mutex_);
    auto& slot = locks_[id];
    if (!slot) slot = std::make_unique<std::mutex>();
    found = slot.get();
  }
  return std::unique_lock(*found);
}

// ---- finding

Result<Record> Manager::find(const Where& where) const {
  if (where.name.empty()) {
    TRY_ASSIGN(const auto records, records_.list());
    for (const auto& record : records) {
      if (lies_in(where.cwd, record.worktree)) return record;
    }
    return fail(ErrorKind::kUsage, "which sandbox?", "give its name, or run this inside its worktree; locki list shows them");
  }
  TRY(check_name(where.name));
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, where.cwd));
  auto record = records_.load(RecordStore::id_of(repository.common_dir().native(), where.name));
  if (!record && record.error().kind() == ErrorKind::kNotFound) {
    return fail(ErrorKind::kNotFound, fmt::format("there is no sandbox \"{}\" of this repository", where.name), "locki list shows them; locki new " + where.name + " makes it");
  }
  return record;
}

fs::path Manager::worktree_of(const git::Repository& repository, const std::string& name) const {
  // The main checkout's directory name, and enough of a hash that two checkouts called "app" do not meet.
  fs::path main = repository.common_dir();
  if (main.filename() == ".git") main = main.parent_path();
  const std::string base = main.filename();
  std::string slug;
  for (const char c : base) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    slug += plain ? c : '-';
  }
  return paths_.worktrees() / fmt::format("{}-{}", slug.substr(0, 60), hash_of(repository.common_dir().native()).to_hex().substr(0, 6)) / name;
}

// ---- making

Result<Record> Manager::make(const Where& where, const std::string& from, const ProgressSink& progress) {
  if (where.name.empty()) return fail(ErrorKind::kUsage, "a new sandbox needs a name", "as in: locki new my-feature");
  TRY(check_name(where.name));
  if (const auto why = git::why_bad_branch(where.name)) return fail(ErrorKind::kUsage, *why);
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, where.cwd));
  TRY_ASSIGN(const bool has_commit, repository.has_commit());
  if (!has_commit) return fail(ErrorKind::kUsage, "this repository has no commit yet", "commit something first: a branch needs a place to begin");

  Record record;
  record.id = RecordStore::id_of(repository.common_dir().native(), where.name);
  const auto held = lock(record.id);
  if (auto existing = records_.load(record.id)) return existing;  // made by another command meanwhile
  const std::scoped_lock one(create_mutex_);
  Phase phase(progress, "worktree", fmt::format("Creating branch and worktree {}", where.name));
  record.name = where.name;
  record.repo = repository.toplevel().native();
  record.git_dir = repository.common_dir().native();
  record.worktree = worktree_of(repository, where.name).native();
  record.instance = instance_name(record.name, record.id);
  TRY_ASSIGN(const auto others, records_.list());
  TRY_ASSIGN(record.address, RecordStore::free_address(record.id, others));
  record.created = now_text();
  TRY_ASSIGN(const auto existing_tip, repository.ref("refs/heads/" + where.name));
  record.made_branch = !existing_tip.has_value();
  if (existing_tip && !from.empty()) {
    return fail(ErrorKind::kExists, fmt::format("the branch {} exists already; --from is for new ones", where.name), "leave --from out to go on with the branch");
  }
  if (existing_tip) {
    record.base = *existing_tip;
  } else {
    TRY_ASSIGN(record.base, from.empty() ? repository.default_base() : repository.resolve(from));
  }
  TRY_ASSIGN(auto upstream, repository.current_branch());
  record.upstream_of = upstream.value_or("");
  TRY(records_.save(record));
  auto added = [&]() -> Result<> {
    TRY(sys::make_directories(fs::path(record.worktree).parent_path()));
    return git::add_worktree(repository, {.path = record.worktree, .branch = record.name, .from = record.made_branch ? record.base : ""});
  }();
  if (!added) {
    (void)records_.remove(record.id);
    return fail(std::move(added).error().with_context(fmt::format("while creating the worktree of {}", record.name)));
  }
  audit_.write("created", record, {{"base", record.base}});
  return record;
}

Result<Record> Manager::find_or_create(const OpenRequest& request, const ProgressSink& progress) {
  auto found = find(request.where);
  if (found || found.error().kind() != ErrorKind::kNotFound || !request.create) return found;
  return make(request.where, request.from, progress);
}

Result<Record> Manager::create(const Where& where, const std::string& from, const ProgressSink& progress) {
  // One that never came up is what an interrupted `new` left: this one goes on with it.
  if (auto found = where.name.empty() ? fail(ErrorKind::kNotFound, "") : find(where); found && !found->incarnation.empty()) {
    return fail(ErrorKind::kExists, fmt::format("the sandbox {} exists already", printable(where.name)), "enter it: locki x " + printable(where.name));
  }
  TRY_ASSIGN(Record record, make(where, from, progress));
  const std::shared_lock awake(life_);
  const auto held = lock(record.id);
  TRY(bring_up(record, progress));
  return record;
}

// ---- bringing up

bool Manager::is_up(const std::string& id) {
  const std::string state = mirrors_.status(id).state;
  return (state == "quiet" || state == "busy" || state == "closed") && machine_.running();
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
  ContainerSetup setup;
  std::vector<std::string> cut;
  setup.limits = limits_for(config, wishes, &cut);
  if (!cut.empty()) {
    report(progress, {ProgressEvent::Kind::kNote, "locki.toml", "the repository asks for more " + join(cut, ", ") + " than your config allows", std::nullopt});
  }
  setup.trust_archive = machine_.trust_archive();
  setup.endpoint_program = installation_.libexec / "endpoint";
  setup.session_files = installation_.share / "session";
  return setup;
}

Result<MirrorPlan> Manager::mirror_plan(const Record& record, const Config& config) const {
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
  MirrorPlan plan;
  plan.instance = record.instance;
  plan.endpoint = {std::string(kEndpoint)};
  plan.settings.sandbox = record.id;
  plan.settings.instance = record.incarnation;
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

Result<> Manager::bring_up(Record& record, const ProgressSink& progress) {
  if (is_up(record.id)) return {};
  std::error_code error;
  if (!fs::exists(record.worktree, error)) {
    return fail(ErrorKind::kNotFound, fmt::format("the worktree {} is gone", printable(record.worktree)),
                fmt::format("locki remove --force {} clears what is left; the branch stays", record.name));
  }
  TRY_ASSIGN(const Config config, this->config());
  TRY(ensure_machine(config, progress));
  TRY(machine_.egress().admit(record, config));
  sweep();
  TRY_ASSIGN(auto client, machine_.incus());
  ContainerSetup setup = container_setup(record, config, progress);
  TRY_ASSIGN(setup.image_alias, machine_.image_alias());
  record.settled = false;
  TRY(records_.save(record));
  bool made = false;
  {
    const std::scoped_lock one(containers_mutex_);
    TRY_ASSIGN(made, ensure_container(*client, record, setup, progress));
  }
  if (made) {
    // What an earlier container held is gone, with the agents' settings in it.
    record.cloned = false;
    record.agents.clear();
    TRY(records_.save(record));
  }
  const bool cloned_now = !record.cloned;
  if (cloned_now) {
    TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
    TRY(clone_inside(*client, record, repository, progress));
    record.cloned = true;
    record.incarnation = random_hex(8);
    TRY(records_.save(record));
  }
  TRY_ASSIGN(auto plan, mirror_plan(record, config));
  mirrors_.start(record.id, std::move(plan));
  // A new clone of a clean worktree is what the host has. Anything else may be behind: what the user does next must not meet old files.
  const auto repository = git::Repository::discover(git_, record.worktree);
  const bool new_and_clean = cloned_now && repository && !git::is_dirty(*repository, record.worktree).value_or(true);
  if (new_and_clean) return {};
  Phase phase(progress, "mirror", "Bringing the files up to date");
  if (auto synced = mirrors_.sync(record.id, kSyncTime); !synced) {
    report(progress, {ProgressEvent::Kind::kWarning, "mirror", "the files inside may be behind: " + synced.error().describe(), std::nullopt});
  }
  return {};
}

Result<> Manager::set_up_agent(Record& record, const agents::Agent& agent, const Config& config, const ProgressSink& progress) {
  TRY_ASSIGN(auto client, machine_.incus());
  if (!record.agents.contains(agent.name)) {
    TRY(machine_.ensure_agent(agent, config, false, progress));
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
  const auto held = lock(record.id);
  TRY(bring_up(record, progress));
  if (agent != nullptr) {
    TRY_ASSIGN(const Config config, this->config());
    TRY(set_up_agent(record, *agent, config, progress));
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

// ---- sessions

void Manager::session_begins(const std::string& id) {
  const std::scoped_lock guard(mutex_);
  ++sessions_[id];
}

void Manager::session_ends(const std::string& id) {
  {
    const std::scoped_lock guard(mutex_);
    if (const auto found = sessions_.find(id); found != sessions_.end() && --found->second == 0) sessions_.erase(found);
  }
  auto record = records_.load(id);
  auto client = machine_.incus();
  if (!record || !client) return;
  for (const auto& name : record->agents) {
    const auto* agent = agents_.find(name);
    if (agent == nullptr) continue;
    if (auto out = logins_.bring_out(**client, record->instance, *agent); !out) log::info("logins of {}: {}", record->name, out.error().describe());
  }
}

std::size_t Manager::sessions() const {
  const std::scoped_lock guard(mutex_);
  return sessions_.size();
}

// ---- managing

Result<json::array> Manager::list(const std::string& cwd, bool all) const {
  std::vector<std::string> broken;
  TRY_ASSIGN(const auto records, records_.list(&broken));
  std::string only;
  if (!all) {
    auto repository = git::Repository::discover(git_, cwd);
    if (repository) only = repository->common_dir().native();
  }
  auto* self = const_cast<Manager*>(this);
  const bool machine_runs = self->machine_.running(), machine_sleeps = !machine_runs && self->machine_.asleep();
  std::vector<std::future<json::object>> pending;
  for (const auto& record : records) {
    if (!only.empty() && record.git_dir != only) continue;
    pending.push_back(std::async(std::launch::async, [this, self, &record, machine_runs, machine_sleeps] {
      json::object o{{"name", record.name},         {"repo", record.repo},       {"branch", record.name},
                     {"worktree", record.worktree}, {"created", record.created}, {"instance", record.instance}, {"base", record.base}};
      json::array agents;
      for (const auto& agent : record.agents) agents.emplace_back(agent);
      o["agents"] = std::move(agents);
      const MirrorStatus mirror = mirrors_.status(record.id);
      std::error_code error;
      const bool up = machine_runs && mirror.state != "stopped";
      o["state"] = !fs::exists(record.worktree, error) ? "broken" : up ? "running" : machine_sleeps && record.cloned ? "asleep" : "stopped";
      if (up && !record.agents.empty()) o["screens"] = self->screens_of(record);
      o["mirror"] = json::object{{"state", mirror.state}, {"held", mirror.state == "stopped" ? held_files(record).size() : mirror.held.size()},
                                {"conflicts", mirror.conflicts}, {"stuck", mirror.stuck.size()}, {"refused", mirror.refused}, {"problem", mirror.problem}};
      o["dirty"] = nullptr;
      o["ahead"] = nullptr;
      if (auto repository = git::Repository::discover(git_, record.worktree)) {
        if (auto dirty = git::is_dirty(*repository, record.worktree)) o["dirty"] = *dirty;
        auto count = sys::run_ok(repository->command({"rev-list", "--count", record.base + "..refs/heads/" + record.name, "--"}));
        if (count) o["ahead"] = static_cast<std::int64_t>(parse_u64(trim(*count)).value_or(0));
      }
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

json::object Manager::screens_of(const Record& record) {
  const auto client = machine_.incus();
  if (!client) return {};
  const auto screens = screens_.look(record.id, [client = *client, instance = record.instance] {
    incus::RunOptions options;
    options.timeout = std::chrono::seconds(10);
    options.max_output = 4096;
    return client->run_ok(instance, {std::string(kAgentSession), "--state"}, options);
  });
  json::object o;
  for (const auto& [agent, state] : screens) o[agent] = state == ScreenState::kWaiting ? "waiting" : "running";
  return o;
}

Result<Record> Manager::start(const Where& where, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  const auto held = lock(record.id);
  // The user asks for it: a mirror that was closed because the sandbox broke the rules gets another chance.
  if (mirrors_.status(record.id).state == "closed") mirrors_.stop(record.id);
  TRY(bring_up(record, progress));
  return record;
}

Result<Record> Manager::stop(const Where& where, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  const auto held = lock(record.id);
  if (machine_.asleep()) {
    TRY_ASSIGN(const Config config, this->config());
    TRY(ensure_machine(config, progress));
  }
  if (!machine_.running()) return record;
  Phase phase(progress, "stop", fmt::format("Stopping {}", record.name));
  TRY_ASSIGN(auto client, machine_.incus());
  if (is_up(record.id)) {
    auto synced = mirrors_.sync(record.id, kSyncTime);
    record.settled = synced && all_came_out(*synced);
    if (!synced) report(progress, {ProgressEvent::Kind::kWarning, "stop", "not everything inside reached the host: " + synced.error().describe(), std::nullopt});
  }
  mirrors_.stop(record.id);
  TRY(records_.save(record));
  TRY_ASSIGN(const bool exists, client->instance_exists(record.instance));
  if (exists) TRY(client->stop(record.instance, false, std::chrono::seconds(20)));
  machine_.egress().dismiss(record);
  audit_.write("stopped", record);
  return record;
}

Result<json::object> Manager::sync(const Where& where, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  {
    const auto held = lock(record.id);
    TRY(bring_up(record, progress));
  }
  Phase phase(progress, "sync", "Waiting until both sides agree");
  TRY_ASSIGN(const auto reply, mirrors_.sync(record.id, kSyncTime));
  const MirrorStatus status = mirrors_.status(record.id);
  json::array stuck;
  if (const auto* blocked = json::array_or_null(reply, "blocked")) stuck = *blocked;
  return json::object{{"name", record.name}, {"conflicts", status.conflicts}, {"held", status.held.size()}, {"stuck", std::move(stuck)},
                      {"refused", status.refused}, {"problem", status.problem}};
}

Result<json::array> Manager::history(const Where& where) const {
  TRY_ASSIGN(const Record record, find(where));
  auto history = mirror::History::open_existing(git_, records_.directory_of(record.id) / "mirror" / "history");
  json::array out;
  if (!history && history.error().kind() == ErrorKind::kNotFound) return out;
  if (!history) return fail(std::move(history).error());
  TRY_ASSIGN(const auto versions, history->list());
  for (const auto& version : versions) {
    json::object o{{"id", version.id}, {"time", version.time}, {"summary", version.summary}};
    if (version.kept_path) o["kept_path"] = *version.kept_path;
    out.push_back(std::move(o));
  }
  return out;
}

Result<std::size_t> Manager::undo(const Where& where, const std::string& version, const ProgressSink& progress) {
  // Both sides agree first: only then is everything that is there now in the history.
  TRY(sync(where, progress));
  TRY_ASSIGN(const Record record, find(where));
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto history, mirror::History::open_existing(git_, records_.directory_of(record.id) / "mirror" / "history"));
  TRY_ASSIGN(const auto versions, history.list(10'000));
  const auto found = std::find_if(versions.begin(), versions.end(), [&](const auto& v) { return v.id.starts_with(version) && !v.kept_path; });
  if (version.size() < 6 || found == versions.end()) return fail(ErrorKind::kNotFound, "no state of that id", "locki history " + record.name + " lists them");
  return restore_version(history, found->id, record.worktree, git_, config);
}

// ---- removing

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
  }
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, record.worktree));
  std::vector<std::string> lost;
  TRY_ASSIGN(const std::string changes, sys::run_ok(repository.command({"status", "--porcelain", "--untracked-files=all"})));
  for (const auto& line : split_lines(changes)) lost.push_back("not committed: " + printable(line));
  for (auto& line : left_inside(record, repository, reply)) lost.push_back(std::move(line));
  if (request.delete_branch && record.made_branch) {
    TRY_ASSIGN(const auto commits, git::unmerged_commits(repository, record.name));
    for (const auto& commit : commits) lost.push_back("on this branch only: " + printable(commit));
  }
  if (lost.empty()) return {};
  std::string message = fmt::format("removing {} would lose work:", record.name);
  for (std::size_t i = 0; i < lost.size() && i < 20; ++i) message += "\n  " + lost[i];
  if (lost.size() > 20) message += fmt::format("\n  … and {} more", lost.size() - 20);
  return fail(ErrorKind::kConflict, std::move(message), "commit or copy what you need, or use --force");
}

Result<> Manager::remove_parts(const Record& record, const RemoveRequest& request, const ProgressSink& progress) {
  Phase phase(progress, "remove", fmt::format("Removing {}", record.name));
  mirrors_.stop(record.id, milliseconds(0));
  if (machine_.running()) {
    // A machine that does not answer keeps the container; sweep() finds it later.
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
  } else {
    TRY(sys::remove_tree(record.worktree));
  }
  TRY(records_.remove(record.id));
  audit_.write("removed", record, {{"forced", request.force}, {"branch_deleted", request.delete_branch}});
  return {};
}

Result<Record> Manager::remove(const RemoveRequest& request, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(request.where));
  const auto held = lock(record.id);
  if (!request.force) {
    std::size_t open = 0;
    {
      const std::scoped_lock guard(mutex_);
      if (const auto found = sessions_.find(record.id); found != sessions_.end()) open = found->second;
    }
    if (open > 0) {
      return fail(ErrorKind::kConflict, fmt::format("{} is in use by {} session{}", record.name, open, open == 1 ? "" : "s"), "end it, or use --force");
    }
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
    auto gone = remove({.where = {cwd, record.name}, .force = false, .delete_branch = true}, progress);
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
  auto instances = (*client)->list_instances();
  if (!instances) return;
  for (const auto& instance : *instances) {
    const auto id = instance.config.find("user.locki.id");
    if (id == instance.config.end()) continue;
    auto record = records_.load(id->second);
    if (record || record.error().kind() != ErrorKind::kNotFound) continue;
    log::info("removing the container {}: its sandbox is gone", printable(instance.name));
    if (auto removed = remove_container(**client, instance.name); !removed) log::warning("{}", removed.error().describe());
  }
}

// ---- agents, life of the daemon

Result<json::array> Manager::agents() const {
  std::map<std::string, std::string> installed;
  auto* self = const_cast<Manager*>(this);
  if (auto client = self->machine_.incus()) {
    if (auto found = installed_agents(**client)) installed = std::move(*found);
  }
  json::array out;
  for (const auto& agent : agents_.all()) {
    const auto version = installed.find(agent.name);
    out.push_back(json::object{{"name", agent.name}, {"title", agent.title}, {"package", agent.package},
                               {"installed", version == installed.end() ? json::value(nullptr) : json::value(version->second)}});
  }
  return out;
}

Result<> Manager::update_agent(const std::string& name, const ProgressSink& progress) {
  TRY_ASSIGN(const agents::Agent* agent, agents_.get(name));
  TRY_ASSIGN(const Config config, this->config());
  TRY(machine_.ensure(config, progress));
  return machine_.ensure_agent(*agent, config, true, progress);
}

void Manager::recover() {
  machine_.adopt();
  if (!machine_.running()) return;
  auto config = this->config();
  if (!config) return log::warning("{}", config.error().describe());
  if (auto ready = machine_.ensure(*config, {}); !ready) return log::warning("the running machine: {}", ready.error().describe());
  take_up_running();
}

void Manager::take_up_running() {
  auto records = records_.list();
  if (!records) return log::warning("{}", records.error().describe());
  auto client = machine_.incus();
  if (!client) return;
  auto instances = (*client)->list_instances();
  if (!instances) return log::warning("{}", instances.error().describe());
  for (auto& record : *records) {
    const auto running = std::find_if(instances->begin(), instances->end(), [&](const auto& i) { return i.name == record.instance && i.running(); });
    if (running == instances->end()) continue;
    const std::shared_lock awake(life_);
    if (!machine_.running()) return;  // stopped or asleep again meanwhile
    const auto held = lock(record.id);
    if (auto up = bring_up(record, {}); !up) log::warning("{}: {}", record.name, up.error().describe());
  }
}

Result<> Manager::ensure_machine(const Config& config, const ProgressSink& progress) {
  TRY(machine_.ensure(config, progress));
  if (!machine_.take_woken()) return {};
  // What runs in there already must find its way out before anything else is done.
  TRY_ASSIGN(const auto records, records_.list());
  for (const auto& record : records) {
    if (!record.cloned) continue;
    if (auto admitted = machine_.egress().admit(record, config); !admitted) log::warning("{}", admitted.error().describe());
  }
  // The daemon ends without waiting for its threads: all that they do survives being cut anywhere.
  std::thread([this] {
    std::this_thread::sleep_for(kWakeOthers);
    take_up_running();
  }).detach();
  return {};
}

void Manager::shut_down() { mirrors_.stop_all(); }

}  // namespace locki::sandbox
