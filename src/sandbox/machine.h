// The machine that all sandboxes share: its roots, the VM, incusd in it, what incusd needs once (pool, network, profile, image), the
// agent store, and the egress gate. Thread-safe; ensure() is done by one thread while the others wait for its outcome.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agents/agent.h"
#include "base/json.h"
#include "base/progress.h"
#include "incus/client.h"
#include "net/identity.h"
#include "sandbox/agent_store.h"
#include "sandbox/config.h"
#include "sandbox/egress.h"
#include "sandbox/idle.h"
#include "sandbox/roots.h"
#include "sandbox/stream_door.h"
#include "sys/xdg.h"
#include "vm/driver.h"

namespace locki::sandbox {

class Machine {
 public:
  Machine(const sys::Paths& paths, const sys::Installation& installation);
  ~Machine();

  // Takes over a machine that an earlier daemon left running.
  void adopt();
  // Builds the roots, and unless there is a machine already the golden state with these agents in it; leaves nothing running that did not.
  Result<> build(const Config& config, const std::vector<const agents::Agent*>& agents, const ProgressSink& progress);
  // Running, incusd answers, everything in it is there. Cheap when it is so already. A machine that begins here is kept as the golden state
  // first, with the agent that is wanted (if any), so that the next beginning takes seconds.
  Result<> ensure(const Config& config, const agents::Agent* wanted, const ProgressSink& progress);
  Result<> stop(const ProgressSink& progress);
  // Everything in it sleeps until the next ensure(). kUnavailable when it does not run.
  Result<> suspend(const ProgressSink& progress);
  // What suspend() left is good also after the host was restarted.
  void wait_until_durable() { driver_->wait_until_durable(); }
  // The data disk too, and with it what every sandbox holds inside. The roots and the agent logins stay, and the golden state if wanted.
  Result<> remove(bool keep_golden, const ProgressSink& progress);
  Result<json::object> status(const Config& config);
  bool running();
  // Running, and not standing still because the host's disk is full: ensure() would have something to do.
  bool working();
  // Running, and its port can be called: false in the moments in which it has died and nobody has noticed yet.
  bool reachable();
  bool asleep();
  // Told once: the last ensure() woke a machine that slept, with whatever runs in it. Not of the golden state, where nothing runs.
  bool take_woken() { return woken_.exchange(false); }
  // When its kernel was last started here, and not woken: nanoseconds since 1970; 0: not by this daemon. What is older than
  // that on its disk may be older than it was.
  std::int64_t booted() const { return booted_; }
  // What idleness is judged by. Zeros when it does not run.
  Activity activity();
  double memory_in_use();  // the part of its memory that it holds; 0 when it does not run
  bool exists() const;  // there is a data disk

  // For sandbox work after ensure(). kUnavailable when the machine does not run.
  Result<std::shared_ptr<incus::Client>> incus();
  Result<sys::Fd> connect_incus();
  struct KeyFiles {
    std::filesystem::path client_cert, client_key, server_cert;
  };
  KeyFiles key_files() const;
  // The alias of the image that containers are cloned from; after ensure().
  Result<std::string> image_alias();
  // A tar to unpack in a fresh container: the host's CA certificates in its trust store. Empty when there is nothing to add.
  std::string trust_archive();

  // The agent is in the store, installing it if need be (or anew). Runs in a throw-away builder container.
  Result<> ensure_agent(const agents::Agent& agent, bool renew, const ProgressSink& progress);

  // Inside, names lead where the rules say by now: after each change of them (egress()). Cheap when nothing is to be done; nothing while it does not run.
  Result<> publish_names();

  Egress& egress() { return egress_; }
  const Egress& egress() const { return egress_; }
  // Open while the machine runs, if its network has a place for it.
  StreamDoor& streams() { return streams_; }

 private:
  // All of these: the caller holds mutex_.
  Result<> boot(const Config& config, const ProgressSink& progress);
  // Booted or resumed, and everything in it is there.
  Result<> bring_up(const Config& config, const ProgressSink& progress);
  void warn_of_another_build(const ProgressSink& progress);
  Result<> put_to_sleep();
  // The machine, which has just begun, is put to sleep and kept.
  Result<> keep_golden(const std::vector<const agents::Agent*>& agents, const ProgressSink& progress);
  BuilderSetup builder_setup();  // of a machine that runs
  void open_streams();
  void forget_client();
  std::string trust_archive_locked();
  Result<> wait_for_incus(const ProgressSink& progress);
  Result<> provision_once(const ProgressSink& progress);
  Result<> publish_names_locked();  // names_mutex_
  void set_published(std::optional<gate::HostTable> hosts);
  Result<net::Identity> identity(std::string_view name);
  std::filesystem::path data_disk() const;

  sys::Paths paths_;
  sys::Installation installation_;
  std::unique_ptr<vm::VmDriver> driver_;
  Egress egress_;
  StreamDoor streams_;
  std::shared_ptr<incus::Client> client_;         // null unless incusd answers
  std::shared_ptr<incus::Client> asleep_client_;  // the last one of a machine that was put to sleep
  std::optional<Roots> roots_;
  bool ready_ = false;      // provisioned since the last start
  std::atomic<bool> woken_ = false;
  std::atomic<std::int64_t> booted_ = 0;
  bool golden_ = false;     // the last start resumed a copy of the golden state
  bool resumed_ = false;    // the last start woke a machine that was provisioned as this build does it
  std::timed_mutex mutex_;  // of the machine's life: start, stop, what is above
  std::mutex names_mutex_;
  std::optional<gate::HostTable> published_;  // what the machine's name server was told; nothing: not known
  bool names_by_file_ = true;                 // in provision.h's kNamesFile; else in Incus' settings, until the machine is provisioned again
  std::mutex agents_mutex_;  // one builder container at a time
};

}  // namespace locki::sandbox
