// The machine that Incus runs in, whatever runs it. Nothing above vm/ may assume QEMU, or that the machine is on this host.
// A driver is safe to use from several threads: start() and stop() exclude each other, everything else may run beside them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "sys/fd.h"

namespace locki::vm {

// What src/image built. Plain paths on the host; all of them are only read.
struct VmFiles {
  std::filesystem::path vmm_root;      // directory: the jail's root, holds the VMM
  std::filesystem::path kernel;        // bzImage
  std::filesystem::path initrd;
  std::filesystem::path system_image;  // raw ext4, the VM's read-only system
  std::string id;                      // content id of all of them together: what a probe or a snapshot is valid for
};

// The life of the machine (built → golden → running ⇄ suspended).
enum class State {
  kBuilt,      // nothing runs; the next start is an ordinary boot
  kGolden,     // nothing runs, and there is no data disk: a start copies the golden state and resumes that
  kRunning,
  kSuspended,  // nothing runs; a start resumes what was running
};
std::string_view to_string(State state);

enum class Accelerator { kKvm, kTcg };
std::string_view to_string(Accelerator accelerator);
// What the config says: `accelerator = "auto" | "kvm" | "tcg"`. kAuto probes once per host kernel.
enum class AcceleratorChoice { kAuto, kKvm, kTcg };
Result<AcceleratorChoice> accelerator_choice_from(std::string_view text);  // kUsage

inline constexpr std::uint16_t kIncusPort = 8443;  // where incusd listens in the guest
// Every address of this network is the host's side of the VM's card: the guest reaches listen()'s sockets at each of them, and
// getsockname() on the accepted one says which was called. The VM gives each sandbox some (recipes/vm: net-up), so that address is who asks.
inline constexpr std::string_view kClientNetwork = "198.19.0.0/16";

struct VmSpec {
  VmFiles files;
  unsigned cpus = 2;
  std::uint64_t memory_mib = 4096;
  // Made when absent: the golden state's if there is one that fits, else a copy of `seed_disk` when that is given, else an empty sparse file
  // of that size. Never shrunk.
  std::filesystem::path data_disk;
  std::uint64_t data_disk_size = 64ULL << 30;  // bytes
  std::filesystem::path seed_disk;  // under a name that says its content: a golden state that began with another one does not fit
  // Further disks that the guest can only read, by the end of their serial ("image" is seen as "locki-image"): at most 14 of a-z, 0-9.
  std::map<std::string, std::filesystem::path> read_only_disks;
  // systemd system credentials, name to value, for example "locki.client.crt". Secrets: they reach the guest through descriptors
  // and the jail's memory, and are written to no disk.
  std::map<std::string, std::string> credentials;
  // Guest TCP ports that connect() reaches (1024 and above), and ports that listen() may open for the guest (first and last).
  std::vector<std::uint16_t> guest_ports{kIncusPort};
  std::vector<std::pair<std::uint16_t, std::uint16_t>> host_ports{{1, 65535}};
  AcceleratorChoice accelerator = AcceleratorChoice::kAuto;
};

// How a start went.
struct Started {
  bool resumed = false;
  bool golden = false;  // resumed from a copy of the golden state: nothing of the user's ever ran in it
  std::string label;   // what suspend() was given; when resumed
  std::string gave_up; // why a suspended machine was not resumed but booted: for people; empty when there was none
};

struct Suspended {
  std::uint64_t bytes = 0;  // that the memory image holds on the host's disk
};

struct Status {
  State state = State::kBuilt;
  // Only while running:
  pid_t pid = 0;  // of the VMM
  Accelerator accelerator = Accelerator::kTcg;
  std::string accelerator_note;        // why it is not KVM; empty when it is, or when TCG was asked for
  unsigned cpus = 0;
  std::uint64_t memory_mib = 0;        // what the guest may use
  std::uint64_t memory_in_use = 0;     // bytes that the VMM process holds
  std::chrono::seconds uptime{0};
  std::string files_id;                // VmFiles::id it was started with
  bool stands_still = false;           // its disk could not be written: go_on()
  std::string problem;                 // why the guest does not run although the VMM does (host disk full, …); empty when it does
  // Only while suspended:
  std::uint64_t suspended_bytes = 0;   // that the memory image holds on the host's disk
  // Always:
  std::uint64_t disk_in_use = 0;       // bytes that the data disk holds on the host; 0 when there is none
  std::uint64_t disk_size = 0;
  std::string last_exit;               // how the last run ended: printable; empty when unknown
};

// What a driver can do, asked before acting.
struct Capabilities {
  bool suspend = false;   // golden and suspended states
  bool forward = false;   // connect() to guest ports
  bool listen = false;    // the guest reaches our listeners, and nothing else
  bool jailed = false;    // the VMM is confined as SECURITY.md promises
  bool run = false;       // run_in_guest()
  bool adopt = false;     // the machine outlives the process that started it
};

class VmDriver {
 public:
  virtual ~VmDriver() = default;
  virtual const Capabilities& capabilities() const = 0;

  // Returns when the VMM runs and the guest is booting; whether Incus answers is for the caller to find out (connect, and alive()
  // between attempts). kExists when it runs already; kNoSpace; kPermission with a remedy when the host refuses the jail.
  // A suspended machine is resumed if it fits the spec, and its saved memory is used up by that whatever comes of it.
  virtual Result<Started> start(const VmSpec& spec, const ProgressSink& progress) = 0;
  // Puts the running machine to sleep with everything in it; nothing of it runs afterwards. Connections of connect() and listen() end.
  // On an error it runs on, unless alive() says otherwise. `label` is the caller's, and comes back with the start.
  virtual Result<Suspended> suspend(const std::string& label) = 0;
  // Waits until what suspend() left is on the disk, and valid also after the host was restarted.
  virtual void wait_until_durable() = 0;
  // Gives up a suspended state: the next start is an ordinary boot. None is fine.
  virtual Result<> forget() = 0;
  // The suspended machine becomes the golden state, in place of an older one: its disk and its memory are moved away, and every start that
  // finds no data disk resumes a copy. For a machine that holds nothing personal. kUnavailable when none is suspended.
  virtual Result<> keep_golden() = 0;
  // None is fine.
  virtual Result<> forget_golden() = 0;
  // Asks the guest to power off, after the grace time ends the VMM, and kills what is still there. Not running is fine.
  virtual Result<> stop(std::chrono::milliseconds grace) = 0;
  // At once; nothing of it is left afterwards. Not running is fine. Interrupts a stop() that waits.
  virtual Result<> kill() = 0;
  // Takes over the machine that an earlier process of ours started, after checking that it is that one. True when it runs.
  // Called once before anything else; clears what a dead machine left behind.
  virtual Result<bool> adopt() = 0;

  // Where it is in its life, without asking the machine itself.
  virtual State state() = 0;
  virtual Result<Status> status() = 0;
  // Lets a guest go on that stands still because its disk could not be written (Status::problem). kNoSpace while the host's disk is still full.
  virtual Result<> go_on() = 0;
  // An error when the machine has ended: how, with the last lines of the VMM's messages and of the guest's console, printable.
  virtual Result<> alive() = 0;
  // A descriptor that becomes readable when the machine has ended, to wait on (the caller's own copy). kUnavailable when not running.
  virtual Result<sys::Fd> exit_event() = 0;

  // Runs a program of the guest, as root in it, and waits until it has ended with status 0: kFailed otherwise, kTimeout, kUnavailable when nothing
  // there takes it. Nothing that it prints comes out. The guest may lie about it.
  virtual Result<> run_in_guest(const std::string& program, const std::vector<std::string>& arguments, std::chrono::milliseconds timeout) = 0;
  // A connected stream to that port of the guest (one of guest_ports). kUnavailable when nothing listens or nothing runs. The
  // other end is the guest: authenticate it, trust nothing it says. Blocking, close-on-exec.
  virtual Result<sys::Fd> connect(std::uint16_t guest_port) = 0;
  // A listening TCP socket that only the guest reaches, at that port of kClientNetwork (one of host_ports). kExists while somebody has it
  // open; a driver may keep some of the ports from 61000 on for itself.
  virtual Result<sys::Fd> listen(std::uint16_t port) = 0;
};

}  // namespace locki::vm
