#include "vm/qemu/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "vm/qemu/accelerator.h"
#include "vm/qemu/arguments.h"
#include "vm/qemu/broker_client.h"
#include "vm/qemu/data_disk.h"
#include "vm/qemu/jail.h"
#include "vm/qemu/guest_agent.h"
#include "vm/qemu/qmp.h"
#include "vm/qemu/ram_image.h"
#include "vm/qemu/saved_state.h"

namespace locki::vm {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kQmpStart{30'000};  // a loaded host may take its time to start QEMU
constexpr milliseconds kQuitGrace{10'000};
constexpr milliseconds kPowerButtonAgain{5'000};
constexpr milliseconds kMemoryImage{120'000};  // a slow disk and a large guest
constexpr milliseconds kClock{3'000};
constexpr milliseconds kWriteDisks{15'000};

// What status() and a new daemon need to know of a run: RUN.json beside the run directory, written before the jail starts.
struct Record {
  std::string boot_id;
  Accelerator accelerator = Accelerator::kTcg;
  std::string note;
  unsigned cpus = 0;
  std::uint64_t memory_mib = 0;
  std::string files_id;
  fs::path data_disk;
  fs::path seed_disk;
  std::string fits;          // what a RAM image of this run is valid for
  std::int64_t started = 0;  // CLOCK_BOOTTIME, seconds: counts while the host sleeps, like the VM's age
};

std::vector<std::uint16_t> forward_ports(const VmSpec& spec) {
  std::vector<std::uint16_t> ports;
  for (const auto port : spec.guest_ports) ports.push_back(forward_port(port));
  return ports;
}

std::int64_t boot_seconds() {
  timespec now{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

json::object to_json(const Record& r) {
  return {{"version", 1},          {"boot_id", r.boot_id}, {"accelerator", to_string(r.accelerator)}, {"note", r.note}, {"cpus", r.cpus},
          {"memory_mib", r.memory_mib}, {"files_id", r.files_id}, {"data_disk", r.data_disk.native()}, {"seed_disk", r.seed_disk.native()}, {"fits", r.fits}, {"started", r.started}};
}

Result<Record> record_from(std::string_view text) {
  TRY_ASSIGN(const json::object o, json::parse_object(text));
  TRY_ASSIGN(const std::int64_t version, json::get_int(o, "version"));
  if (version != 1) return fail(ErrorKind::kCorrupt, fmt::format("the VM's record has version {}", version), "it was written by another version of locki: run `locki vm stop` with that one");
  Record r;
  TRY_ASSIGN(r.boot_id, json::get_string(o, "boot_id"));
  TRY_ASSIGN(const std::string accelerator, json::get_string(o, "accelerator"));
  r.accelerator = accelerator == "kvm" ? Accelerator::kKvm : Accelerator::kTcg;
  r.note = json::string_or(o, "note");
  r.cpus = static_cast<unsigned>(json::int_or(o, "cpus"));
  r.memory_mib = static_cast<std::uint64_t>(json::int_or(o, "memory_mib"));
  r.files_id = json::string_or(o, "files_id");
  r.data_disk = json::string_or(o, "data_disk");
  r.seed_disk = json::string_or(o, "seed_disk");
  r.fits = json::string_or(o, "fits");
  r.started = json::int_or(o, "started");
  return r;
}

// systemd's form for binary values (systemd.system-credentials(7)): no byte of a key can end it early.
std::string smbios_credential(std::string_view name, std::string_view value) {
  return fmt::format("io.systemd.credential.binary:{}={}", name, base64(as_bytes(value)));
}

// A RAM image only fits the very machine that it was taken from.
std::string fitting(const JailSpec& jail, const VmSpec& spec, const std::string& key) {
  std::string secrets;
  for (const auto& [name, value] : jail.secrets) secrets += hash_of(value).to_hex();
  return hash_of(fmt::format("{}\n{}\n{}\n{}\n{}", join(jail.args, "\n"), key, spec.data_disk.native(), spec.data_disk_size, secrets)).to_hex();
}

// A golden state began with the seed disk; a suspended machine may well have begun with an older one.
std::string golden_fitting(const Record& record) { return hash_of(record.fits + "\n" + record.seed_disk.native()).to_hex(); }

bool is_there(const fs::path& path) { return ::access(path.c_str(), F_OK) == 0; }

std::uint64_t resident_bytes(pid_t pid) {
  const auto text = sys::read_file(fmt::format("/proc/{}/statm", pid), 4096);
  const auto words = text ? split(trim(*text), ' ') : std::vector<std::string>{};
  const auto pages = words.size() > 1 ? parse_u64(words[1]) : std::nullopt;
  return pages ? *pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

class QemuDriver final : public VmDriver {
 public:
  explicit QemuDriver(QemuPlaces places) : places_(std::move(places)), saved_(places_.state), golden_(golden()) {}

  const Capabilities& capabilities() const override {
    static constexpr Capabilities kCapabilities{.suspend = true, .forward = true, .listen = true, .jailed = true, .run = true, .adopt = true};
    return kCapabilities;
  }

  Result<Started> start(const VmSpec& spec, const ProgressSink& progress) override {
    const std::lock_guard operation(operation_);
    return context(start_locked(spec, progress), "while starting the VM");
  }
  Result<Suspended> suspend(const std::string& label) override {
    const std::lock_guard operation(operation_);
    return context(suspend_locked(label), "while suspending the VM");
  }
  void wait_until_durable() override {
    const std::lock_guard operation(operation_);
    if (settling_.joinable()) settling_.join();
  }
  Result<> forget() override {
    const std::lock_guard operation(operation_);
    return saved_.drop();
  }
  Result<> keep_golden() override {
    const std::lock_guard operation(operation_);
    return context(keep_golden_locked(), "while keeping the golden state of the VM");
  }
  Result<> forget_golden() override {
    const std::lock_guard operation(operation_);
    settling_golden_ = {};
    return sys::remove_tree(golden());
  }
  Result<> stop(milliseconds grace) override {
    const std::lock_guard operation(operation_);
    return context(stop_locked(grace), "while stopping the VM");
  }
  Result<> kill() override;
  Result<bool> adopt() override;
  State state() override;
  Result<Status> status() override;
  Result<> go_on() override;
  Result<> alive() override;
  Result<sys::Fd> exit_event() override;
  Result<> run_in_guest(const std::string& program, const std::vector<std::string>& arguments, milliseconds timeout) override;
  Result<sys::Fd> connect(std::uint16_t guest_port) override;
  Result<sys::Fd> listen(std::uint16_t port) override { return broker_listen(run() / "broker.sock", port); }

 private:
  fs::path run() const { return places_.state / "run"; }
  fs::path record_path() const { return places_.state / "run.json"; }
  fs::path golden() const { return places_.state / "golden"; }
  static fs::path disk_in(const fs::path& directory) { return directory / "data.img"; }

  Result<Started> start_locked(const VmSpec& spec, const ProgressSink& progress);
  Result<> start_qemu(const JailSpec& jail, Record record);
  Result<> resume(int image);
  // A machine that an earlier process left in the middle of a suspend or a resume.
  Result<> finish_half_made();
  Result<Suspended> suspend_locked(const std::string& label);
  Result<> keep_golden_locked();
  // The golden state's image, if it fits, with the data disk copied beside. Nothing when there is none to take.
  Result<sys::Fd> take_golden(const VmSpec& spec, const Record& record, Started& started);
  void settle_later();
  Result<> stop_locked(milliseconds grace);
  Result<> wait_for_qemu();
  Result<> check(const VmSpec& spec) const;
  JailSpec jail_spec(const VmSpec& spec, Accelerator accelerator) const;
  Result<json::value> qmp(std::string_view command, milliseconds timeout);
  // The running machine, shared so that nobody holds a lock while waiting for it; nothing when it has ended.
  std::shared_ptr<const Jailed> running();

  const QemuPlaces places_;
  std::mutex operation_;  // start and stop, one at a time
  std::mutex qmp_;        // QEMU serves one QMP client
  std::mutex state_;      // the members below
  std::shared_ptr<const Jailed> jailed_;
  Record record_;
  SavedStates saved_, golden_;
  // What a suspend and a resume leave to be done meanwhile. They take no lock that their starter holds.
  std::jthread settling_, settling_golden_, clock_;
};

std::shared_ptr<const Jailed> QemuDriver::running() {
  const std::lock_guard lock(state_);
  if (jailed_ != nullptr && jailed_->wait(milliseconds(0)).value_or(false)) jailed_.reset();
  return jailed_;
}

Result<json::value> QemuDriver::qmp(std::string_view command, milliseconds timeout) {
  const std::lock_guard lock(qmp_);
  TRY_ASSIGN(Qmp client, Qmp::connect(run() / "qmp.sock", timeout));
  return client.execute(command, {}, timeout);
}

Result<> QemuDriver::check(const VmSpec& spec) const {
  if (spec.cpus < 1 || spec.cpus > 255) return fail(ErrorKind::kUsage, "the VM needs between 1 and 255 processors");
  if (spec.memory_mib < 512) return fail(ErrorKind::kUsage, "the VM needs at least 512 MiB of memory");
  if (std::any_of(spec.guest_ports.begin(), spec.guest_ports.end(), [](auto port) { return port < 1024; })) {
    return fail(ErrorKind::kUsage, "ports of the guest below 1024 cannot be forwarded");
  }
  const auto forwards = forward_ports(spec);
  if (std::set(forwards.begin(), forwards.end()).size() != forwards.size()) return fail(ErrorKind::kUsage, "two ports of the guest have the same forward");
  constexpr const char* kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  for (const auto& [name, value] : spec.credentials) {
    if (name.empty() || name.size() > 200 || name.find_first_not_of(kAllowed) != std::string::npos) {
      return fail(ErrorKind::kUsage, "not a name for a credential: " + printable(name));
    }
  }
  for (const auto& [name, path] : spec.read_only_disks) {
    constexpr std::string_view kTaken[] = {"kernel", "initrd", "system", "data"};
    const bool plain = !name.empty() && name.size() <= 14 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string::npos;
    if (!plain || std::find(std::begin(kTaken), std::end(kTaken), name) != std::end(kTaken)) {
      return fail(ErrorKind::kUsage, "not a name for a disk: " + printable(name));
    }
  }
  for (const auto& path : {spec.files.vmm_root, spec.files.kernel, spec.files.initrd, spec.files.system_image}) {
    if (!path.is_absolute() || ::access(path.c_str(), R_OK) != 0) {
      return fail(ErrorKind::kNotFound, "a part of the VM is missing: " + printable(path.native()), "run `locki vm build`");
    }
  }
  return {};
}

Result<> QemuDriver::run_in_guest(const std::string& program, const std::vector<std::string>& arguments, milliseconds timeout) {
  TRY_ASSIGN(auto agent, GuestAgent::connect(run() / "agent.sock"));
  return agent.run(program, arguments, timeout);
}

Result<sys::Fd> QemuDriver::connect(std::uint16_t guest_port) {
  auto connected = broker_connect(run() / "broker.sock", forward_port(guest_port));
  if (connected || connected.error().kind() != ErrorKind::kPermission) return connected;
  // A machine that an older locki started and that still runs has the forward at the port's own number.
  return broker_connect(run() / "broker.sock", guest_port);
}

JailSpec QemuDriver::jail_spec(const VmSpec& spec, Accelerator accelerator) const {
  JailSpec jail{.jail = places_.jail,
                .root = spec.files.vmm_root,
                .read_only = {{"kernel", spec.files.kernel}, {"initrd", spec.files.initrd}, {"system", spec.files.system_image}},
                .read_write = {{"data", spec.data_disk}},
                .sockets = {"qmp.sock", "agent.sock"},
                .kvm = accelerator == Accelerator::kKvm,
                .connect_ports = forward_ports(spec),
                .listen_ports = spec.host_ports,
                .program = kQemuProgram};
  QemuConfig qemu{.accelerator = accelerator,
                  .cpus = spec.cpus,
                  .memory_mib = spec.memory_mib,
                  .guest_ports = spec.guest_ports,
                  .qmp_fd = kFirstSocketFd,
                  .agent_fd = kFirstSocketFd + 1};
  for (const auto& [name, path] : spec.read_only_disks) {
    jail.read_only[name] = path;
    qemu.read_only_disks.push_back(name);
  }
  for (const auto& [name, value] : spec.credentials) {
    const std::string file = fmt::format("credential{}", qemu.secrets.size());
    qemu.secrets.push_back(file);
    jail.secrets[file] = smbios_credential(name, value);
  }
  jail.args = qemu_arguments(qemu);
  return jail;
}

Result<Started> QemuDriver::start_locked(const VmSpec& spec, const ProgressSink& progress) {
  TRY(check(spec));
  TRY(sys::make_directories(places_.state, 0700));
  auto lock = sys::FileLock::try_acquire(places_.state / "lock");
  if (!lock) return fail(std::move(lock).error());
  TRY_ASSIGN(const bool runs, adopt());
  if (runs) return fail(ErrorKind::kExists, "the VM runs already");
  const std::string key = accelerator_key(spec.files.id);
  TRY_ASSIGN(const AcceleratorFound found,
             choose_accelerator(spec.accelerator, places_.state / "accelerator.json", key,
                                [&] { return probe_kvm(spec.files, places_.jail, places_.state / "probe"); }, progress));
  JailSpec jail = jail_spec(spec, found.accelerator);
  Record record{current_boot_id(), found.accelerator, found.note, spec.cpus, spec.memory_mib, spec.files.id, spec.data_disk, spec.seed_disk, "", boot_seconds()};
  record.fits = fitting(jail, spec, key);

  Started started;
  TRY_ASSIGN(auto saved, saved_.find(record.boot_id, &started.gave_up));
  if (saved && saved->fits != record.fits) {
    started.gave_up = "the machine's settings, its systems or the host have changed since";
    TRY(saved_.drop());
    saved.reset();
  }
  sys::Fd image;
  if (saved) {
    started.label = saved->label;
    TRY_ASSIGN(image, saved_.take());
    sys::fault_point("vm.taken");
  } else if (!is_there(spec.data_disk)) {
    TRY_ASSIGN(image, take_golden(spec, record, started));
  }
  if (image) {
    Phase phase(progress, "vm.resume", "Waking the VM");
    JailSpec waiting = jail;
    waiting.args.insert(waiting.args.end(), {"-incoming", "defer"});
    auto resumed = start_qemu(waiting, record);
    if (resumed) resumed = resume(image.get());
    if (resumed) {
      started.resumed = true;
      return started;
    }
    (void)kill();
    if (started.golden) TRY(sys::remove_tree(golden()));
    started = {.gave_up = resumed.error().describe()};
    log::warning("the suspended machine cannot be resumed: {}", started.gave_up);
  }
  TRY(ensure_data_disk(spec.data_disk, spec.data_disk_size, spec.seed_disk));
  Phase phase(progress, "vm.start", "Starting the VM");
  TRY(start_qemu(jail, record));
  return started;
}

Result<sys::Fd> QemuDriver::take_golden(const VmSpec& spec, const Record& record, Started& started) {
  std::string why;
  TRY_ASSIGN(const auto golden_state, golden_.find(record.boot_id, &why));
  if (!why.empty()) log::info("the golden state is not used: {}", why);
  if (!golden_state || golden_state->fits != golden_fitting(record) || !is_there(disk_in(golden()))) return sys::Fd();
  TRY_ASSIGN(sys::Fd image, golden_.image_file());
  TRY(ensure_data_disk(spec.data_disk, spec.data_disk_size, disk_in(golden())));
  started.golden = true;
  started.label = golden_state->label;
  return image;
}

// Killed half-way, what was moved is lost, and the next start begins with a fresh machine, as this one did.
Result<> QemuDriver::keep_golden_locked() {
  if (running() != nullptr) return fail(ErrorKind::kConflict, "the VM runs");
  Record record;
  {
    const std::lock_guard state(state_);
    record = record_;
  }
  TRY_ASSIGN(auto saved, saved_.find(record.boot_id));
  if (!saved) return fail(ErrorKind::kUnavailable, "no machine is suspended");
  // Waited for: what they note is about to move.
  settling_ = {};
  settling_golden_ = {};
  TRY(sys::remove_tree(golden()));
  TRY(sys::make_directories(golden(), 0700));
  TRY(sys::rename_file(record.data_disk, disk_in(golden())));
  sys::fault_point("vm.golden");
  TRY(saved_.move_to(golden_));
  saved->fits = golden_fitting(record);
  saved->on_disk = false;
  TRY(golden_.keep(*saved));
  settling_golden_ = std::jthread([this] {
    auto image = golden_.image_file();
    auto disk = sys::open_file(disk_in(golden()), O_RDONLY);
    if (!image || !disk || ::fdatasync(disk->get()) != 0 || ::fdatasync(image->get()) != 0) return;
    if (const auto noted = golden_.settled(image->get()); !noted) log::warning("{}", noted.error().describe());
  });
  return {};
}

Result<> QemuDriver::start_qemu(const JailSpec& jail, Record record) {
  TRY(sys::write_file(record_path(), json::pretty(to_json(record)), 0600));
  TRY_ASSIGN(Jailed jailed, start_jail(jail, run()));
  {
    const std::lock_guard state(state_);
    jailed_ = std::make_shared<const Jailed>(std::move(jailed));
    record_ = std::move(record);
  }
  auto ready = wait_for_qemu();
  if (!ready) (void)kill();
  return ready;
}

Result<> QemuDriver::resume(int image) {
  const std::lock_guard lock(qmp_);
  TRY_ASSIGN(Qmp client, Qmp::connect(run() / "qmp.sock", kQmpStart));
  sys::fault_point("vm.waiting");
  TRY(load_ram(client, image, kMemoryImage));
  sys::fault_point("vm.loaded");
  // Asked before the guest runs, it is the first thing that its agent sees.
  auto agent = GuestAgent::connect(run() / "agent.sock");
  if (agent) (void)agent->send_time();
  TRY(continue_guest(client));
  clock_ = std::jthread([agent = std::move(agent)]() mutable {
    const auto set = agent ? agent->await_time(kClock) : fail(agent.error());
    if (!set) log::warning("the clock of the machine may be behind: {}", printable(set.error().describe()));
  });
  return {};
}

Result<Suspended> QemuDriver::suspend_locked(const std::string& label) {
  const auto vm = running();
  if (vm == nullptr) return fail(ErrorKind::kUnavailable, "the VM does not run");
  Record record;
  {
    const std::lock_guard state(state_);
    record = record_;
  }
  if (record.fits.empty()) return fail(ErrorKind::kUnavailable, "this machine was started by an older locki", "locki vm stop, then again");
  TRY_ASSIGN(const std::uint64_t free, sys::free_space(places_.state));
  const std::uint64_t needed = resident_bytes(vm->program()) + (256ULL << 20);
  if (free < needed) return fail(ErrorKind::kNoSpace, fmt::format("its memory needs {}, and {} are free", human_bytes(needed), human_bytes(free)), "free some space, or: locki vm stop");
  // Should the image be lost, an ordinary boot finds a disk that knows as much as it can.
  auto written = GuestAgent::connect(run() / "agent.sock").and_then([](GuestAgent agent) { return agent.write_disks(kWriteDisks); });
  if (!written) log::warning("before the sleep: {}", printable(written.error().describe()));
  TRY_ASSIGN(const sys::Fd image, saved_.create());
  {
    const std::lock_guard lock(qmp_);
    TRY_ASSIGN(Qmp client, Qmp::connect(run() / "qmp.sock", milliseconds(5000)));
    if (auto saved = save_ram(client, image.get(), kMemoryImage); !saved) {
      (void)saved_.drop();
      return fail(std::move(saved).error());
    }
    sys::fault_point("vm.saved");
    // It may hang up before it has answered.
    (void)client.execute("quit", {}, milliseconds(2000));
  }
  TRY_ASSIGN(const bool ended, vm->wait(kQuitGrace));
  if (!ended) TRY(vm->kill());
  sys::fault_point("vm.ended");
  struct stat status {};
  if (::fstat(image.get(), &status) != 0) return fail_errno(errno, "cannot examine the memory image");
  const auto bytes = static_cast<std::uint64_t>(status.st_blocks) * 512;
  TRY(saved_.keep({.fits = record.fits, .label = label, .boot_id = record.boot_id, .on_disk = false, .bytes = bytes}));
  sys::fault_point("vm.kept");
  settle_later();
  return Suspended{bytes};
}

void QemuDriver::settle_later() {
  auto image = saved_.image_file();
  if (!image) return;
  settling_ = std::jthread([this, image = std::move(*image)] {
    if (::fdatasync(image.get()) != 0) return;
    if (const auto noted = saved_.settled(image.get()); !noted) log::warning("{}", noted.error().describe());
  });
}

// The socket is served as soon as QEMU has built its machine; when it ends before, our connection is closed.
Result<> QemuDriver::wait_for_qemu() {
  const auto answer = qmp("query-status", kQmpStart);
  if (answer) return {};
  if (const auto vm = running(); vm != nullptr) (void)vm->wait(milliseconds(1000));
  TRY(alive());
  return fail(answer.error());
}

Result<> QemuDriver::stop_locked(milliseconds grace) {
  const auto vm = running();
  if (vm == nullptr) return {};
  const auto until = steady_clock::now() + grace;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now());
    if (left.count() <= 0) break;
    // A guest that is still booting misses the button: press it again.
    if (const auto pressed = qmp("system_powerdown", milliseconds(2000)); !pressed) {
      log::warning("the VM cannot be asked to power off: {}", printable(pressed.error().describe()));
    }
    TRY_ASSIGN(const bool ended, vm->wait(std::min(left, kPowerButtonAgain)));
    if (ended) return {};
  }
  // Ends QEMU at once, but in order: what it has in flight reaches the disk.
  if (qmp("quit", milliseconds(2000))) {
    TRY_ASSIGN(const bool ended, vm->wait(kQuitGrace));
    if (ended) return {};
  }
  return vm->kill();
}

Result<> QemuDriver::kill() {
  const auto vm = running();
  return vm == nullptr ? Result<>{} : vm->kill();
}

Result<bool> QemuDriver::adopt() {
  if (running() != nullptr) return true;
  const auto text = sys::read_file(record_path(), 64 << 10);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return false;
  if (!text) return fail(text.error());
  TRY_ASSIGN(Record record, record_from(*text));
  TRY_ASSIGN(auto found, Jailed::find(run(), record.boot_id));
  // The end of the probe of a killed daemon: nobody waits for it any more.
  if (auto probe = Jailed::find(places_.state / "probe", record.boot_id); probe && *probe) TRY((*probe)->kill());
  {
    const std::lock_guard lock(state_);
    record_ = std::move(record);
    if (found) jailed_ = std::make_shared<const Jailed>(std::move(*found));
  }
  if (running() != nullptr) TRY(finish_half_made());
  return running() != nullptr;
}

Result<> QemuDriver::finish_half_made() {
  const std::lock_guard lock(qmp_);
  auto client = Qmp::connect(run() / "qmp.sock", milliseconds(5000));
  if (!client) return fail(std::move(client).error());
  TRY_ASSIGN(const json::value answer, client->execute("query-status"));
  const auto* object = answer.if_object();
  const std::string state = object != nullptr ? json::string_or(*object, "status") : "";
  if (state == "inmigrate") {
    // Its memory is not there, and the image is used up.
    log::warning("a machine that was being resumed is given up");
    return kill();
  }
  if (state != "paused" && state != "postmigrate" && state != "finish-migrate") return {};
  log::info("a machine that was being put to sleep runs on");
  (void)client->execute("migrate_cancel");
  return continue_guest(*client);
}

State QemuDriver::state() {
  if (running() != nullptr) return State::kRunning;
  const auto saved = saved_.find(current_boot_id());
  return saved && *saved ? State::kSuspended : State::kBuilt;
}

Result<Status> QemuDriver::status() {
  Status status;
  const auto vm = running();
  Record record;
  {
    const std::lock_guard lock(state_);
    record = record_;
  }
  struct stat disk {};
  if (!record.data_disk.empty() && ::stat(record.data_disk.c_str(), &disk) == 0) {
    status.disk_size = static_cast<std::uint64_t>(disk.st_size);
    status.disk_in_use = static_cast<std::uint64_t>(disk.st_blocks) * 512;
  }
  if (vm == nullptr) {
    if (const auto saved = saved_.find(current_boot_id()); saved && *saved) {
      status.state = State::kSuspended;
      status.suspended_bytes = (*saved)->bytes;
      status.cpus = record.cpus;
      status.memory_mib = record.memory_mib;
    } else if (const auto kept = golden_.find(current_boot_id()); kept && *kept && !is_there(record.data_disk)) {
      status.state = State::kGolden;
      status.suspended_bytes = (*kept)->bytes;
    } else if (record.boot_id == current_boot_id()) {
      status.last_exit = describe_end(run());
    } else if (!record.boot_id.empty()) {
      status.last_exit = "the host was restarted";
    }
    return status;
  }
  status.state = State::kRunning;
  status.pid = vm->program();
  status.accelerator = record.accelerator;
  status.accelerator_note = record.note;
  status.cpus = record.cpus;
  status.memory_mib = record.memory_mib;
  status.memory_in_use = resident_bytes(status.pid);
  status.uptime = std::chrono::seconds(boot_seconds() - record.started);
  status.files_id = record.files_id;
  const auto answer = qmp("query-status", milliseconds(2000));
  const auto* object = answer ? answer->if_object() : nullptr;
  const std::string run_state = object != nullptr ? json::string_or(*object, "status") : "";
  if (run_state == "io-error") {
    status.stands_still = true;
    status.problem = "it is paused: its disk cannot be written, is the host's file system full?";
  } else if (run_state != "running") {
    status.problem = object != nullptr ? "QEMU says: " + printable(run_state, 40) : "QEMU does not answer";
  }
  return status;
}

Result<> QemuDriver::go_on() {
  const std::lock_guard operation(operation_);
  constexpr std::uint64_t kLeast = 512ULL << 20;
  TRY_ASSIGN(const std::uint64_t free, sys::free_space(places_.state));
  if (free < kLeast) {
    return fail(ErrorKind::kNoSpace, fmt::format("the virtual machine stands still: its disk cannot grow, {} are free on the host", human_bytes(free)),
                "free some space on the file system of " + printable(places_.state.native()) + "; it goes on then, and nothing is lost");
  }
  TRY(qmp("cont", milliseconds(5000)));
  return {};
}

Result<> QemuDriver::alive() {
  if (running() != nullptr) return {};
  return fail(ErrorKind::kUnavailable, describe_end(run()));
}

Result<sys::Fd> QemuDriver::exit_event() {
  const auto vm = running();
  if (vm == nullptr) return fail(ErrorKind::kUnavailable, "the VM does not run");
  return sys::duplicate(vm->pidfd());
}

}  // namespace

std::unique_ptr<VmDriver> make_qemu_driver(QemuPlaces places) { return std::make_unique<QemuDriver>(std::move(places)); }

}  // namespace locki::vm
