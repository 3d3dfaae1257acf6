// The machine's way out: the gate, its listeners in the jail's network, and for each sandbox the address at which the gate knows it and the
// policy that holds for it. Thread-safe; nothing blocks for longer than the first question to npm (network.h).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gate/gate.h"
#include "sandbox/config.h"
#include "sandbox/net_rules.h"
#include "sandbox/record.h"
#include "sys/xdg.h"
#include "vm/driver.h"

namespace locki::sandbox {

// Where tools inside find a proxy, if they want one: at any name, say gate.locki.internal.
inline constexpr std::uint16_t kProxyPort = 3128;

// The first of the addresses that the VM makes of a sandbox's (recipes/vm: net-up). kCorrupt for another address.
Result<gate::Address> gate_address(const std::string& sandbox_address);

class Egress {
 public:
  Egress(const sys::Paths& paths, const sys::Installation& installation);
  ~Egress();

  void set_agent_hosts(std::vector<std::string> hosts) { agent_hosts_ = std::move(hosts); }
  // Called on the gate's thread whenever a connection begins to wait for the user's word; must not block. Before open().
  void on_asked(std::function<void()> told) { on_asked_ = std::move(told); }
  // The gate runs and serves this machine. Cheap when it does already.
  Result<> open(vm::VmDriver& driver, const Config& config);
  // The machine has ended, and its network with it: the next open() begins anew.
  void machine_ended();
  // From now on what comes from that sandbox is its own. Before anything runs in it.
  Result<> admit(const Record& record, const Config& config);
  void dismiss(const Record& record);
  void dismiss_all();
  gate::GateStats stats() const;
  // Rules or modes have changed: every policy is made anew and holds at once, for connections that stand as well.
  Result<> apply(const Config& config);
  // What holds for this sandbox; null: for one that has no rules of its own.
  Result<gate::Policy> policy_for(const Record* record, const Config& config) const;
  std::vector<gate::Question> questions() const;
  // The hosts that names lead to inside; the VM's name server has to be told (provision.h). It grows with the rules, and outlives machine and daemon.
  gate::HostTable hosts() const;
  NetRules& rules() { return rules_; }

 private:
  Result<> update(const Record* record, const Config& config);
  Result<> listen(const std::set<std::uint16_t>& ports);
  Result<> name_hosts();
  std::filesystem::path hosts_file() const { return paths_.state / "net.hosts"; }

  sys::Paths paths_;
  sys::Installation installation_;
  NetRules rules_;
  std::vector<std::string> agent_hosts_;
  std::function<void()> on_asked_;
  mutable std::mutex mutex_;
  std::unique_ptr<gate::Gate> gate_;
  vm::VmDriver* driver_ = nullptr;  // of the running machine
  std::map<std::uint16_t, gate::Gate::ListenerId> listeners_;
  std::map<std::string, Record> admitted_;  // by id
  std::map<std::string, std::set<std::string>> named_;  // the hosts of each one's rules, by id; "": of all others
  gate::HostTable hosts_;
};

}  // namespace locki::sandbox
