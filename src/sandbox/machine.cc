#include "sandbox/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "sandbox/agent_store.h"
#include "sandbox/certificates.h"
#include "sandbox/provision.h"
#include "sandbox/rest_mark.h"
#include "sandbox/tar.h"
#include "sys/file.h"
#include "vm/qemu/supervisor.h"

namespace locki::sandbox {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {
// A first boot under emulation takes a minute; a host that swaps takes longer. Past this, something is broken.
constexpr std::chrono::minutes kBootDeadline{8};
// Waiting for longer is told.
constexpr milliseconds kUnnoticed{500};
// For the machine's name server to take other names; longer only when the guest agent is stuck, and then there is another way.
constexpr milliseconds kNaming{5000};
}  // namespace

Machine::Machine(const sys::Paths& paths, const sys::Installation& installation) : paths_(paths), installation_(installation), egress_(paths, installation) {
  driver_ = vm::make_qemu_driver({.state = paths.state / "vm", .jail = installation.libexec / "jail"});
}

Machine::~Machine() = default;

fs::path Machine::data_disk() const { return paths_.state / "vm" / "data.img"; }

Machine::KeyFiles Machine::key_files() const {
  const fs::path keys = paths_.state / "keys";
  return {keys / "client.crt", keys / "client.key", keys / "server.crt"};
}

Result<net::Identity> Machine::identity(std::string_view name) {
  const fs::path keys = paths_.state / "keys";
  TRY(sys::make_directories(keys, 0700));
  return net::load_or_create(keys, name, fmt::format("locki-{}", name));
}

void Machine::adopt() {
  const std::scoped_lock lock(mutex_);
  auto adopted = driver_->adopt();
  if (!adopted) log::warning("cannot take over the machine: {}", adopted.error().describe());
  if (!adopted || !*adopted) return;
  log::info("took over the running machine");
  booted_ = rest_mark_now();  // or before; who knows
}

bool Machine::running() { return driver_->state() == vm::State::kRunning; }

bool Machine::reachable() { return running() && driver_->connect(vm::kIncusPort).has_value(); }

bool Machine::working() {
  auto status = driver_->status();
  return status && status->state == vm::State::kRunning && !status->stands_still;
}

bool Machine::asleep() { return driver_->state() == vm::State::kSuspended; }

bool Machine::exists() const {
  std::error_code error;
  return fs::exists(data_disk(), error);
}

Result<> Machine::build(const Config& config, const std::vector<const agents::Agent*>& agents, const ProgressSink& progress) {
  const std::scoped_lock lock(mutex_);
  TRY_ASSIGN(roots_, ensure_roots(paths_, installation_, config, progress));
  if (running() || exists()) return {};
  TRY(bring_up(config, progress));
  if (!golden_) return keep_golden(agents, progress);
  // There was one that fits. What it may lack is put in.
  TRY_ASSIGN(auto client, incus());
  TRY_ASSIGN(const auto installed, installed_agents(*client));
  const bool complete = std::all_of(agents.begin(), agents.end(), [&](const auto* agent) { return installed.contains(agent->name); });
  if (!complete) return keep_golden(agents, progress);
  forget_client();
  TRY(driver_->kill());
  return sys::remove_tree(data_disk());
}

Result<> Machine::boot(const Config& config, const ProgressSink& progress) {
  TRY_ASSIGN(roots_, ensure_roots(paths_, installation_, config, progress));
  TRY_ASSIGN(const auto client_identity, identity("client"));
  TRY_ASSIGN(const auto server_identity, identity("server"));
  vm::VmSpec spec;
  spec.files = roots_->vm;
  spec.cpus = config.vm.cpus;
  spec.memory_mib = config.vm.memory_bytes >> 20;
  spec.data_disk = data_disk();
  spec.data_disk_size = config.vm.disk_bytes;
  spec.seed_disk = roots_->seed;
  spec.credentials = {{"locki.client.crt", client_identity.certificate_pem},
                      {"locki.server.crt", server_identity.certificate_pem},
                      {"locki.server.key", server_identity.key_pem}};
  TRY_ASSIGN(spec.accelerator, vm::accelerator_choice_from(config.vm.accelerator));
  Phase phase(progress, "vm.boot", "Starting the virtual machine");
  TRY_ASSIGN(const vm::Started started, driver_->start(spec, progress));
  if (!started.gave_up.empty()) {
    report(progress, {ProgressEvent::Kind::kWarning, "vm.resume", "the suspended machine is started anew, without what ran in it: " + printable(started.gave_up), std::nullopt});
  }
  golden_ = started.golden;
  woken_ = started.resumed && !started.golden;
  if (!woken_) booted_ = rest_mark_now();
  const gate::HostTable hosts = egress_.hosts();
  resumed_ = started.resumed && started.label == provision_id(roots_->image, hosts);
  set_published(resumed_ ? std::optional(hosts) : std::nullopt);
  names_by_file_ = true;
  auto status = driver_->status();
  if (!started.resumed && status && !status->accelerator_note.empty()) {
    report(progress, {ProgressEvent::Kind::kWarning, "vm.accelerator", "no hardware acceleration, everything is slower: " + status->accelerator_note, std::nullopt});
  }
  ready_ = false;
  std::atomic_store(&client_, std::shared_ptr<incus::Client>());
  return {};
}

Result<sys::Fd> Machine::connect_incus() { return driver_->connect(vm::kIncusPort); }

Result<std::shared_ptr<incus::Client>> Machine::incus() {
  if (auto client = std::atomic_load(&client_)) return client;
  return fail(ErrorKind::kUnavailable, "the virtual machine is not running", "locki vm start");
}

Result<> Machine::wait_for_incus(const ProgressSink& progress) {
  Phase phase(progress, "vm.incus", "Waiting for the virtual machine to answer");
  // The one of before the sleep still has its TLS session, which spares both sides most of the first handshake.
  std::shared_ptr<incus::Client> client = resumed_ ? asleep_client_ : nullptr;
  asleep_client_.reset();
  if (client) {
    client->drop_connections();
    if (!golden_) {
      // It answered when it fell asleep, and the first who asks it anything finds out whether it still does.
      std::atomic_store(&client_, std::move(client));
      return {};
    }
  } else {
    TRY_ASSIGN(const auto client_identity, identity("client"));
    TRY_ASSIGN(const auto server_identity, identity("server"));
    TRY_ASSIGN(auto made, incus::Client::make({client_identity.certificate_pem, client_identity.key_pem, server_identity.certificate_pem},
                                              [this] { return connect_incus(); }));
    client = std::make_shared<incus::Client>(std::move(made));
  }
  const auto begun = steady_clock::now();
  for (;;) {
    auto ready = resumed_ ? client->wait_answer(milliseconds(2000)) : client->wait_ready(milliseconds(2000));
    if (ready) break;
    TRY(context(driver_->alive(), "while waiting for the virtual machine"));
    const auto waited = steady_clock::now() - begun;
    if (waited > kBootDeadline) {
      return fail(std::move(ready).error().with_context("the virtual machine runs, but incusd in it does not answer").with_hint(
          "look at " + printable((paths_.state / "vm").native()) + "; try: locki vm stop, then again"));
    }
  }
  std::atomic_store(&client_, std::move(client));
  return {};
}

Result<> Machine::provision_once(const ProgressSink& progress) {
  TRY_ASSIGN(auto client, incus());
  set_published(std::nullopt);
  TRY(patiently("provisioning", [&] { return provision(*client, roots_->image, progress); }));
  names_by_file_ = true;
  return context(ensure_agent_store(*client), "while making the agent store");
}

Result<> Machine::ensure(const Config& config, const agents::Agent* wanted, const ProgressSink& progress) {
  std::unique_lock lock(mutex_, kUnnoticed);
  if (!lock) {
    Phase phase(progress, "vm.wait", "Waiting for another command that starts the virtual machine");
    lock.lock();
  }
  // One that has just died is seen to be dead a moment later.
  for (int i = 0; i < 40 && running() && ready_ && !reachable(); ++i) std::this_thread::sleep_for(milliseconds(50));
  TRY_ASSIGN(const vm::Status now, driver_->status());
  const bool runs = now.state == vm::State::kRunning;
  if (runs && now.stands_still) TRY(driver_->go_on());
  if (runs && ready_) return {};
  const bool begins = !runs && !exists();
  TRY(bring_up(config, progress));
  if (!begins || golden_) return {};
  std::vector<const agents::Agent*> agents;
  if (wanted != nullptr) agents.push_back(wanted);
  TRY(keep_golden(agents, progress));
  return bring_up(config, progress);
}

Result<> Machine::bring_up(const Config& config, const ProgressSink& progress) {
  const bool was_running = running();
  if (!was_running) {
    egress_.machine_ended();
    streams_.close();
    TRY(boot(config, progress));
  }
  if (!roots_) {
    TRY_ASSIGN(roots_, ensure_roots(paths_, installation_, config, progress));
  }
  if (was_running) warn_of_another_build(progress);
  TRY(egress_.open(*driver_, config));
  open_streams();
  TRY(wait_for_incus(progress));
  if (!resumed_) TRY(provision_once(progress));
  {
    const std::scoped_lock names(names_mutex_);
    TRY(publish_names_locked());
  }
  ready_ = true;
  return {};
}

// Without it the mirrors go through Incus.
void Machine::open_streams() {
  if (streams_.is_open() || !driver_->capabilities().listen) return;
  const auto opened = driver_->listen(kStreamPort).and_then([&](sys::Fd listener) { return streams_.open(std::move(listener)); });
  if (!opened) log::warning("mirrors cannot be reached by dialling: {}", opened.error().describe());
}

// What such a machine does with addresses and names is what that build asked of it.
void Machine::warn_of_another_build(const ProgressSink& progress) {
  const auto status = driver_->status();
  if (!status || status->files_id.empty() || status->files_id == roots_->vm.id) return;
  report(progress, {ProgressEvent::Kind::kWarning, "vm.start",
                    "the virtual machine was started by another version of locki; its sandboxes may have no network or no mirror: locki vm stop, and the next command starts it anew", std::nullopt});
}

void Machine::set_published(std::optional<gate::HostTable> hosts) {
  const std::scoped_lock lock(names_mutex_);
  published_ = std::move(hosts);
}

Result<> Machine::publish_names() {
  const std::scoped_lock lock(names_mutex_);
  // Otherwise it begins or ends, and bring_up() does it.
  return published_ ? publish_names_locked() : Result<>();
}

Result<> Machine::publish_names_locked() {
  const gate::HostTable hosts = egress_.hosts();
  const auto client = std::atomic_load(&client_);
  if (!client || published_ == hosts) return {};
  if (names_by_file_) {
    const auto told = driver_->run_in_guest("/bin/sh", names_change(hosts), kNaming);
    if (!told) log::warning("hosts are named by Incus from now on: {}", printable(told.error().describe()));
    names_by_file_ = told.has_value();
  }
  if (!names_by_file_) TRY(patiently("naming hosts", [&] { return provision_network(*client, network_definition(hosts)); }));
  published_ = hosts;
  return {};
}

// Without it everything works, but slower the next time: only a machine that does not come back is an error.
Result<> Machine::keep_golden(const std::vector<const agents::Agent*>& agents, const ProgressSink& progress) {
  for (const auto* agent : agents) {
    auto installed = incus().and_then([&](const auto& client) { return ensure_agent_installed(*client, *agent, builder_setup(), false, progress); });
    if (!installed) {
      report(progress, {ProgressEvent::Kind::kWarning, "vm.golden", fmt::format("{} is not in the golden state: {}", agent->title, installed.error().describe()), std::nullopt});
    }
  }
  Phase phase(progress, "vm.golden", "Keeping the fresh machine for later");
  auto kept = put_to_sleep().and_then([&] { return driver_->keep_golden(); });
  if (!kept) report(progress, {ProgressEvent::Kind::kWarning, "vm.golden", "no golden state: " + kept.error().describe(), std::nullopt});
  return {};
}

void Machine::forget_client() {
  ready_ = false;
  std::atomic_store(&client_, std::shared_ptr<incus::Client>());
}

Result<> Machine::stop(const ProgressSink& progress) {
  const std::scoped_lock lock(mutex_);
  if (!running()) return {};
  Phase phase(progress, "vm.stop", "Stopping the virtual machine");
  forget_client();
  return driver_->stop(std::chrono::seconds(90));
}

Result<> Machine::suspend(const ProgressSink& progress) {
  const std::scoped_lock lock(mutex_);
  if (!running()) return fail(ErrorKind::kUnavailable, "the virtual machine is not running");
  Phase phase(progress, "vm.suspend", "Putting the virtual machine to sleep");
  return put_to_sleep();
}

Result<> Machine::put_to_sleep() {
  std::string label;
  if (ready_ && roots_) {
    const std::scoped_lock names(names_mutex_);
    // One whose names are in Incus' settings is set up again when it wakes.
    if (names_by_file_) label = provision_id(roots_->image, published_.value_or(gate::HostTable{}));
  }
  auto client = std::atomic_exchange(&client_, std::shared_ptr<incus::Client>());
  if (auto suspended = driver_->suspend(label); !suspended) {
    if (driver_->alive()) std::atomic_store(&client_, client);
    return fail(std::move(suspended).error());
  }
  ready_ = false;
  asleep_client_ = std::move(client);
  return {};
}

Result<> Machine::remove(bool keep_golden, const ProgressSink& progress) {
  const std::scoped_lock lock(mutex_);
  Phase phase(progress, "vm.delete", "Deleting the virtual machine");
  forget_client();
  TRY(driver_->kill());
  TRY(driver_->forget());
  if (!keep_golden) TRY(driver_->forget_golden());
  return sys::remove_tree(data_disk());
}

Activity Machine::activity() {
  Activity activity{.now = steady_clock::now()};
  const auto status = driver_->status();
  if (!status || status->state != vm::State::kRunning) return activity;
  activity.cpu_time = cpu_time(status->pid);
  // Emulation makes the ticks of an idle guest dear.
  if (status->accelerator == vm::Accelerator::kTcg) activity.cpu_idle_share = 0.3;
  const auto stats = egress_.stats();
  activity.open_connections = stats.open;
  activity.accepted = stats.accepted;
  return activity;
}

double Machine::memory_in_use() {
  const auto status = driver_->status();
  if (!status || status->memory_mib == 0) return 0;
  return static_cast<double>(status->memory_in_use) / static_cast<double>(status->memory_mib << 20);
}

Result<json::object> Machine::status(const Config& config) {
  TRY_ASSIGN(const vm::Status status, driver_->status());
  const bool runs = status.state == vm::State::kRunning;
  const bool absent = status.state == vm::State::kBuilt && !exists();
  json::object o{{"state", absent ? "absent" : to_string(status.state)},
                 {"accelerator", runs ? json::value(to_string(status.accelerator)) : json::value(nullptr)},
                 {"accelerator_note", status.accelerator_note},
                 {"pid", status.pid},
                 {"cpus", runs ? status.cpus : config.vm.cpus},
                 {"memory_mib", runs ? status.memory_mib : config.vm.memory_bytes >> 20},
                 {"memory_used_bytes", status.memory_in_use},
                 {"disk_bytes", status.disk_size},
                 {"disk_used_bytes", status.disk_in_use},
                 {"suspended_bytes", status.suspended_bytes},
                 {"uptime_s", status.uptime.count()},
                 {"problem", status.problem},
                 {"last_exit", status.last_exit}};
  TRY_ASSIGN(o["roots"], roots_status(paths_, installation_, config));
  return o;
}

Result<std::string> Machine::image_alias() {
  const std::scoped_lock lock(mutex_);
  if (!roots_) return fail(ErrorKind::kUnavailable, "the virtual machine is not running");
  return roots_->image.alias;
}

std::string Machine::trust_archive() {
  const std::scoped_lock lock(mutex_);
  return trust_archive_locked();
}

std::string Machine::trust_archive_locked() {
  if (!roots_) return "";
  const std::string known = sys::read_file(roots_->image_certificates, 16 << 20).value_or("");
  const auto extra = certificates_missing_from(known, host_certificates());
  if (extra.empty()) return "";
  TarWriter tar;
  // Where update-ca-certificates takes them from later, and the bundle that it would make now: running it takes long under emulation.
  std::string bundle = known;
  for (std::size_t i = 0; i < extra.size(); ++i) {
    tar.file(fmt::format("/usr/local/share/ca-certificates/locki-host-{}.crt", i), extra[i]);
    bundle += extra[i];
  }
  tar.file(kCertificates, bundle);
  return tar.finish();
}

Result<> Machine::ensure_agent(const agents::Agent& agent, bool renew, const ProgressSink& progress) {
  const std::scoped_lock one_builder(agents_mutex_);
  BuilderSetup setup;
  {
    const std::scoped_lock lock(mutex_);
    if (!roots_) return fail(ErrorKind::kUnavailable, "the virtual machine is not running");
    setup = builder_setup();
  }
  TRY_ASSIGN(auto client, incus());
  return ensure_agent_installed(*client, agent, setup, renew, progress);
}

BuilderSetup Machine::builder_setup() {
  BuilderSetup setup;
  setup.image_alias = roots_->image.alias;
  setup.archive = trust_archive_locked();
  if (setup.archive.empty()) setup.archive = TarWriter().finish();
  if (const char* registry = std::getenv("NPM_CONFIG_REGISTRY")) setup.environment["NPM_CONFIG_REGISTRY"] = registry;
  return setup;
}

}  // namespace locki::sandbox
