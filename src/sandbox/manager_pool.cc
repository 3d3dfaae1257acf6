// Manager: spare containers, which make a new sandbox fast.
#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "sandbox/manager.h"
#include "sandbox/provision.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

// What somebody has just waited for works for him first.
constexpr std::chrono::seconds kQuiet{8};
constexpr std::uint64_t kLeastHostMemory = 1ULL << 30;

// As the kernel reckons it, with what it could drop (proc_meminfo(5)). Unknown is enough.
std::uint64_t available_host_memory() {
  const std::string text = sys::read_file("/proc/meminfo", 64 << 10).value_or("");
  for (const auto& line : split_lines(text)) {
    const auto words = split(line, ' ');
    if (words.front() != "MemAvailable:") continue;
    for (const auto& word : words) {
      if (const auto kibibytes = parse_u64(word)) return *kibibytes << 10;
    }
  }
  return kLeastHostMemory;
}

}  // namespace

Manager::Attending::Attending(Manager& manager) : manager_(manager) {
  const std::scoped_lock guard(manager_.mutex_);
  ++manager_.attended_;
}

Manager::Attending::~Attending() {
  const std::scoped_lock guard(manager_.mutex_);
  --manager_.attended_;
  manager_.last_attended_ = std::chrono::steady_clock::now();
}

// All that goes into a container before it is a sandbox's.
std::string Manager::spare_fits(const ContainerSetup& setup) const {
  const Limits& limits = setup.limits;
  return hash_of(fmt::format("{} {} {} {} {} {} {}", setup.image_alias, limits.cpus, limits.memory_bytes, limits.disk_bytes, limits.processes,
                             setup.programs, modification_time(kCertificates)))
      .to_hex();
}

Result<std::set<std::string>> Manager::taken_addresses() const {
  std::set<std::string> taken;
  TRY_ASSIGN(const auto records, records_.list());
  for (const auto& record : records) taken.insert(record.address);
  for (const auto& spare : pool_.all()) taken.insert(spare.address);
  return taken;
}

Result<bool> Manager::take_spare(incus::Client& client, Record& record, const ContainerSetup& setup) {
  if (pool_.all().empty()) return false;
  TRY_ASSIGN(const bool has_one, client.instance_exists(record.instance));
  if (has_one) return false;  // an attempt that was cut off
  TRY_ASSIGN(const auto spare, pool_.take(spare_fits(setup)));
  if (!spare) return false;
  sys::fault_point("spare.taken");
  const auto found = client.instance(spare->instance);
  if (!found || !found->running()) {
    sweep_again();
    return false;
  }
  record.instance = spare->instance;
  record.address = spare->address;
  TRY(records_.save(record));
  return true;
}

bool Manager::memory_is_short() { return available_host_memory() < kLeastHostMemory || machine_.memory_in_use() > 0.9; }

void Manager::fill_pool() {
  const auto config = this->config();
  if (!config) return;
  const std::shared_lock awake(life_, std::try_to_lock);
  if (!awake || !machine_.running()) return;
  const auto client = machine_.incus();
  if (!client) return;
  {
    const std::scoped_lock guard(mutex_);
    if (attended_ > 0 || std::chrono::steady_clock::now() - last_attended_ < kQuiet) return;
  }
  auto filled = [&]() -> Result<> {
    TRY_ASSIGN(const ContainerSetup setup, spare_setup(*config));
    const std::string fits = spare_fits(setup);
    const bool wanted = config->pool > 0 && !memory_is_short();
    std::size_t kept = 0;
    for (const auto& spare : pool_.all()) {
      if (wanted && spare.fits == fits && kept < config->pool) {
        ++kept;
        continue;
      }
      TRY(pool_.remove(spare.instance));
      sweep_again();
    }
    sweep();
    return wanted && kept < config->pool ? make_spare(**client, setup, fits) : Result<>{};
  }();
  if (!filled) log::warning("spare containers: {}", filled.error().describe());
}

Result<ContainerSetup> Manager::spare_setup(const Config& config) {
  ContainerSetup setup = common_setup();
  setup.limits = limits_for(config, {}, nullptr);
  TRY_ASSIGN(setup.image_alias, machine_.image_alias());
  return setup;
}

Result<> Manager::make_spare(incus::Client& client, const ContainerSetup& setup, const std::string& fits) {
  Record spare;  // of no sandbox yet
  const std::string mark = random_hex(6);
  spare.id = "spare-" + mark;
  spare.name = "spare";
  spare.instance = std::string(kSpareInstance) + mark;
  {
    const std::scoped_lock one(create_mutex_);
    TRY_ASSIGN(const auto taken, taken_addresses());
    TRY_ASSIGN(spare.address, RecordStore::free_address(spare.id, taken));
    TRY(pool_.add({.instance = spare.instance, .address = spare.address, .fits = fits}));
  }
  auto made = [&]() -> Result<> {
    const std::scoped_lock one(containers_mutex_);
    TRY(ensure_container(client, spare, setup, {}));
    return pool_.note_ready(spare.instance);
  }();
  if (made) return {};
  TRY(pool_.remove(spare.instance));
  sweep_again();
  return made;
}

}  // namespace locki::sandbox
