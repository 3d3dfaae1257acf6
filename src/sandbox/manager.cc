#include "sandbox/manager.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "mirror/history.h"
#include "sandbox/agent_store.h"
#include "sandbox/undo.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kWakeOthers{1'500};  // the command that woke the machine goes first

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
      pool_(paths.state / "spares.json"),
      histories_(paths.state / "histories.json"),
      machine_(paths, installation),
      logins_(paths.agent_home()),
      git_(std::move(git)),
      audit_(paths.state / "audit.jsonl"),
      mirrors_(installation.libexec, paths.state / "mirror.log", [this] { return machine_.incus(); },
               [this](const std::string& id, const mirror::Event& event) { note_import(id, event); }, &machine_.streams()) {
  std::vector<std::string> hosts;
  for (const auto& agent : agents_.all()) hosts.insert(hosts.end(), agent.hosts.begin(), agent.hosts.end());
  machine_.egress().set_agent_hosts(std::move(hosts));
  notifier_ = std::make_shared<AskNotifier>(find_desktop(), notifier_needs());
  machine_.egress().on_asked([notifier = notifier_] { notifier->wake(); });
}

Manager::~Manager() { notifier_->stop(); }

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

Result<std::unique_lock<std::mutex>> Manager::hold(Record& record) {
  auto held = lock(record.id);
  TRY_ASSIGN(record, context(records_.load(record.id), fmt::format("{} was removed meanwhile", printable(record.name))));
  return held;
}

// ---- finding

Result<Record> Manager::find(const Where& where) const {
  if (where.name.empty()) {
    TRY_ASSIGN(const auto records, records_.list());
    for (const auto& record : records) {
      if (lies_within(where.cwd, record.worktree)) return record;
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

Result<Record> Manager::start(const Where& where, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  TRY_ASSIGN(const auto held, hold(record));
  // The user asks for it: a mirror that was closed because the sandbox broke the rules gets another chance.
  if (mirrors_.status(record.id).state == "closed") mirrors_.stop(record.id);
  TRY(bring_up(record, progress));
  return record;
}

Result<Record> Manager::stop(const Where& where, bool force, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  TRY_ASSIGN(const auto held, hold(record));
  if (machine_.asleep()) {
    TRY_ASSIGN(const Config config, this->config());
    TRY(ensure_machine(config, nullptr, progress));
  }
  if (!machine_.running()) return record;
  if (!force) TRY(refuse_while_in_use(record, "stop"));
  const Attending user(*this);
  Phase phase(progress, "stop", fmt::format("Stopping {}", record.name));
  TRY_ASSIGN(auto client, machine_.incus());
  if (can_settle(record.id)) {
    auto synced = settle(record, kSyncTime);
    if (!synced) report(progress, {ProgressEvent::Kind::kWarning, "stop", "not everything inside reached the host: " + synced.error().describe(), std::nullopt});
  }
  mirrors_.stop(record.id);
  (void)take_left_running(record.id);
  TRY(records_.save(record));
  TRY_ASSIGN(const bool exists, client->instance_exists(record.instance));
  if (exists) TRY(client->stop(record.instance, false, std::chrono::seconds(20)));
  machine_.egress().dismiss(record);
  audit_.write("stopped", record);
  return record;
}

Result<json::object> Manager::sync(const Where& where, bool durable, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  {
    TRY_ASSIGN(const auto held, hold(record));
    TRY(bring_up(record, progress));
  }
  Phase phase(progress, "sync", "Waiting until both sides agree");
  TRY_ASSIGN(const auto reply, mirrors_.sync(record.id, kSyncTime, durable));
  const MirrorStatus status = mirrors_.status(record.id);
  json::array stuck;
  if (const auto* blocked = json::array_or_null(reply, "blocked")) stuck = *blocked;
  return json::object{{"name", record.name}, {"conflicts", status.conflicts}, {"held", status.held.size()}, {"stuck", std::move(stuck)},
                      {"branch", json::string_or(reply, "branch")}, {"refused", status.refused}, {"problem", status.problem}};
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
  TRY(sync(where, false, progress));
  TRY_ASSIGN(const Record record, find(where));
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto history, mirror::History::open_existing(git_, records_.directory_of(record.id) / "mirror" / "history"));
  TRY_ASSIGN(const auto versions, history.list(10'000));
  const auto found = std::find_if(versions.begin(), versions.end(), [&](const auto& v) { return v.id.starts_with(version) && !v.kept_path; });
  if (version.size() < 6 || found == versions.end()) return fail(ErrorKind::kNotFound, "no state of that id", "locki history " + record.name + " lists them");
  return restore_version(history, found->id, record.worktree, git_, config);
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
  const std::shared_lock awake(life_);
  TRY(ensure_machine(config, nullptr, progress));
  return machine_.ensure_agent(*agent, true, progress);
}

void Manager::recover() {
  if (!machine_.running()) return;
  auto config = this->config();
  if (!config) return log::warning("{}", config.error().describe());
  if (auto ready = machine_.ensure(*config, nullptr, {}); !ready) return log::warning("the running machine: {}", ready.error().describe());
  take_up_running();
}

void Manager::take_up_running() {
  auto records = records_.list();
  if (!records) return log::warning("{}", records.error().describe());
  auto client = machine_.incus();
  if (!client) return;
  auto instances = (*client)->list_instances();
  if (!instances) return log::warning("{}", instances.error().describe());
  {
    const std::scoped_lock guard(mutex_);
    left_running_.clear();  // from here on there is somebody to ask
  }
  for (auto& record : *records) {
    const auto running = std::find_if(instances->begin(), instances->end(), [&](const auto& i) { return i.name == record.instance && i.running(); });
    if (running == instances->end()) continue;
    const std::shared_lock awake(life_);
    if (!machine_.running()) return;  // stopped or asleep again meanwhile
    const auto held = hold(record);
    if (!held) continue;
    if (auto up = bring_up(record, {}); !up) log::warning("{}: {}", record.name, up.error().describe());
  }
}

Result<> Manager::ensure_machine(const Config& config, const agents::Agent* wanted, const ProgressSink& progress) {
  const bool ran = machine_.running();
  TRY(machine_.ensure(config, wanted, progress));
  const bool woken = machine_.take_woken();
  {
    const std::scoped_lock guard(mutex_);
    if (woken) left_running_ = std::exchange(rested_, {});
    else if (!ran) left_running_.clear();
  }
  if (!woken) return {};
  // What runs in there already must find its way out before anything else is done.
  TRY_ASSIGN(const auto records, records_.list());
  for (const auto& record : records) {
    if (!record.cloned) continue;
    if (auto admitted = machine_.egress().admit(record, config); !admitted) log::warning("{}", admitted.error().describe());
  }
  if (auto published = machine_.publish_names(); !published) log::warning("{}", published.error().describe());
  // Everything else, also looking for what was left behind, can wait. The daemon ends without waiting for its threads: all that they do
  // survives being cut anywhere.
  {
    const std::scoped_lock guard(mutex_);
    swept_ = true;
  }
  std::thread([this] {
    std::this_thread::sleep_for(kWakeOthers);
    sweep_again();
    take_up_running();
  }).detach();
  return {};
}

void Manager::shut_down() { mirrors_.stop_all(); }

}  // namespace locki::sandbox
