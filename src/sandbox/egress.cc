#include "sandbox/egress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "sandbox/network.h"
#include "sandbox/provision.h"
#include "sandbox/stream_door.h"
#include "sys/file.h"
#include "sys/limits.h"

namespace locki::sandbox {

namespace {
constexpr std::size_t kOtherDescriptors = 896;
}  // namespace

Result<gate::Address> gate_address(const std::string& sandbox_address) {
  const auto parsed = gate::Address::parse(sandbox_address);
  const auto& b = parsed.value_or(gate::Address{}).bytes;
  const bool builder = sandbox_address == kBuilderAddress;
  const bool sandbox = b[2] >= 1 && b[2] <= kAddressBlocks && b[3] >= 1 && b[3] <= kAddressesPerBlock;
  if (!parsed || parsed->family != gate::Address::Family::kV4 || b[0] != 10 || b[1] != 77 || (!sandbox && !builder)) {
    return fail(ErrorKind::kCorrupt, fmt::format("{} is no sandbox's address", printable(sandbox_address, 60)), "remove the sandbox and make it anew");
  }
  const std::uint32_t number = builder ? 0 : (b[2] - 1U) * kAddressesPerBlock + b[3];
  return gate::Address::v4((198U << 24 | 19U << 16) + number * gate::HostTable::kSize);
}

Egress::Egress(const sys::Paths& paths, const sys::Installation& installation) : paths_(paths), installation_(installation), rules_(paths) {
  const auto text = sys::read_file(hosts_file(), 64 << 10);
  auto known = text ? gate::HostTable::parse(*text) : fail(text.error());
  // Without it, names get addresses anew.
  if (known) hosts_ = std::move(*known);
  else if (known.error().kind() != ErrorKind::kNotFound) log::warning("{}", Error(known.error()).with_context("in " + hosts_file().native()).describe());
}

Egress::~Egress() = default;

Result<gate::Policy> Egress::policy_for(const Record* record, const Config& config) const {
  TRY_ASSIGN(auto own, rules_.rules_for(record));
  TRY_ASSIGN(auto policy, network_policy(config, paths_, installation_, std::move(own), agent_hosts_));
  if (record != nullptr) {
    TRY_ASSIGN(const auto mode, rules_.mode_of(*record));
    // What the user has switched off stays off.
    if (mode && policy.mode != gate::Mode::kOff) policy.mode = *mode;
  }
  return policy;
}

Result<> Egress::open(vm::VmDriver& driver, const Config& config) {
  const std::scoped_lock lock(mutex_);
  driver_ = &driver;
  if (!gate_) {
    gate::GateConfig gate_config;
    TRY_ASSIGN(gate_config.upstream, network_upstream(config));
    gate_config.log_path = paths_.state / "net.jsonl";
    gate_config.on_record = [told = on_asked_](const gate::AuditRecord& entry) {
      if (entry.event == gate::AuditRecord::Event::kAsked && told) told();
    };
    // Whatever sandboxes do, the daemon keeps descriptors for its other work.
    const std::size_t descriptors = sys::raise_descriptor_limit(2 * gate_config.limits.connections + kOtherDescriptors);
    gate_config.limits.connections = std::clamp<std::size_t>((std::max(descriptors, kOtherDescriptors) - kOtherDescriptors) / 2, 64, gate_config.limits.connections);
    TRY_ASSIGN(gate_, gate::Gate::start(std::move(gate_config)));
  }
  TRY(context(listen({kProxyPort, 80, 443}), "while opening the egress gate"));
  TRY(update(nullptr, config));
  for (const auto& [id, record] : admitted_) TRY(update(&record, config));
  return name_hosts();
}

void Egress::machine_ended() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [port, id] : listeners_) gate_->stop_serving(id);
  listeners_.clear();
  driver_ = nullptr;
}

// Without a record: the builder of agents.
Result<> Egress::update(const Record* record, const Config& config) {
  TRY_ASSIGN(const auto at, gate_address(record != nullptr ? record->address : std::string(kBuilderAddress)));
  TRY_ASSIGN(auto policy, policy_for(record, config));
  TRY(listen(gate::named_ports(policy)));
  named_[record != nullptr ? record->id : ""] = gate::named_hosts(policy);
  gate_->admit(at, {record != nullptr ? record->id : "builder", record != nullptr ? record->name : "(installing agents)", std::move(policy)});
  return {};
}

Result<> Egress::listen(const std::set<std::uint16_t>& ports) {
  for (const auto port : ports) {
    if (driver_ == nullptr || listeners_.contains(port)) continue;
    // It may not be there yet when a rule of long ago names it.
    auto listener = port == kStreamPort ? fail(ErrorKind::kExists, "the mirrors' streams come in there") : driver_->listen(port);
    // Of the machine's own network (vm/driver.h).
    if (!listener && listener.error().kind() == ErrorKind::kExists) {
      log::warning("port {} is taken in the machine's network: what a rule names with it is reached through the proxy only", port);
      continue;
    }
    if (!listener) return fail(std::move(listener).error());
    const auto entrance = port == kProxyPort ? gate::Entrance::kExplicit : gate::Entrance::kTransparent;
    listeners_[port] = gate_->serve(std::move(*listener), entrance, port);
  }
  return {};
}

Result<> Egress::admit(const Record& record, const Config& config) {
  const std::scoped_lock lock(mutex_);
  if (!gate_) return fail(ErrorKind::kUnavailable, "the virtual machine is not running", "locki vm start");
  TRY(update(&record, config));
  admitted_[record.id] = record;
  return name_hosts();
}

Result<> Egress::name_hosts() {
  std::set<std::string> wanted;
  for (const auto& [id, names] : named_) wanted.insert(names.begin(), names.end());
  gate::HostTable hosts = hosts_;
  const auto left = hosts.add(wanted);
  for (const auto& name : left) log::warning("no address is left for {}: on ports of its own it is reached through the proxy only", name);
  if (hosts != hosts_) {
    TRY(context(sys::write_file(hosts_file(), hosts.to_text(), 0600), "while noting which address a host has"));
    hosts_ = std::move(hosts);
  }
  gate_->name_hosts(hosts_);
  return {};
}

gate::HostTable Egress::hosts() const {
  const std::scoped_lock lock(mutex_);
  return hosts_;
}

void Egress::dismiss(const Record& record) {
  const std::scoped_lock lock(mutex_);
  rules_.forget_once(record.id);
  named_.erase(record.id);
  if (admitted_.erase(record.id) == 0 || !gate_) return;
  if (const auto at = gate_address(record.address)) gate_->dismiss(*at);
}

void Egress::dismiss_all() {
  std::map<std::string, Record> all;
  {
    const std::scoped_lock lock(mutex_);
    all = admitted_;
  }
  for (const auto& [id, record] : all) dismiss(record);
}

gate::GateStats Egress::stats() const {
  const std::scoped_lock lock(mutex_);
  return gate_ ? gate_->stats() : gate::GateStats{};
}

Result<> Egress::apply(const Config& config) {
  const std::scoped_lock lock(mutex_);
  if (!gate_) return {};
  TRY(update(nullptr, config));
  for (const auto& [id, record] : admitted_) TRY(update(&record, config));
  return name_hosts();
}

std::vector<gate::Question> Egress::questions() const {
  const std::scoped_lock lock(mutex_);
  return gate_ ? gate_->questions() : std::vector<gate::Question>();
}

}  // namespace locki::sandbox
