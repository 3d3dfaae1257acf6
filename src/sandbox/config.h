// The user's config file, ~/.config/locki/config.toml: read whole, checked whole, every unknown key is an error. A value; the daemon
// reads it again before each command, so that an edit needs no restart.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gate/policy.h"

namespace locki::sandbox {

struct Limits {
  unsigned cpus = 2;
  std::uint64_t memory_bytes = 0;
  std::uint64_t disk_bytes = 0;
  unsigned processes = 0;
};

struct Config {
  struct Vm {
    unsigned cpus = 2;                 // default: all of the host's, at most 8
    std::uint64_t memory_bytes = 0;    // default: half of the host's, 2 to 16 GiB
    std::uint64_t disk_bytes = 0;      // the data disk's size; sparse. default: 64 GiB
    std::string accelerator = "auto";  // auto | kvm | tcg
    // Idle for that long, the machine is put to sleep ("30m", "2h", "90s", "never"); nothing means never.
    std::optional<std::chrono::seconds> idle{std::chrono::minutes(30)};
    std::vector<std::string> agents{"claude"};  // that `vm build` puts into the golden state
  } vm;
  Limits defaults;  // of a sandbox
  unsigned pool = 1;  // containers that wait, started, for new sandboxes
  Limits ceiling;   // what a repository's locki.toml may ask for at most; default: the VM's size
  struct Net {
    std::string mode = "gate";                    // gate | ask | open | off
    unsigned ask_seconds = 30;                    // how long mode ask waits for an answer
    bool notify = true;                           // by a desktop notification, when no terminal watches
    std::vector<std::string> allow, deny;         // rules: "host", ".suffix", each with an optional ":port"
    std::map<std::string, std::string> services;  // "NAME.locki.internal" -> "ADDRESS:PORT" on the host
    std::string upstream;                         // the host's own proxy, "http://host:port"; default: from the environment
  } net;
  std::string mirror;                                                           // Debian mirror; default: the host's apt configuration
  std::map<std::string, std::map<std::string, std::string>> agent_environment;  // [agents.NAME.environment]
  std::uint64_t share_history = 16ULL << 20;  // bytes of a repository's objects from which on its sandboxes share their history in the VM (histories.h)
  unsigned max_history = 100'000;  // commits of a branch's history that a sandbox gets (git/shallow.h); 0: all
  std::vector<std::string> include;                                             // ignored paths that travel all the same
  std::vector<std::string> review_hold, review_allow;                           // patterns (review/patterns.h): held as well; not held
  std::vector<std::string> review_report;                                       // patterns: reported as well when they changed
  std::vector<std::string> review_ignore;                                       // "RULE PATTERN": not reported (review/return_rules.h)
};

// What a repository's own locki.toml asks for. Nothing in it names a host path, or widens the network before the user has granted it.
struct Wishes {
  std::optional<unsigned> cpus;
  std::optional<std::uint64_t> memory_bytes, disk_bytes;
  std::optional<unsigned> processes;
  std::vector<gate::Rule> net;  // hosts (net_wishes.h)
};

struct Host {
  unsigned cpus = 1;
  std::uint64_t memory_bytes = 0;
};
Host this_host();

// An absent file gives the defaults. kUsage with file, line and the nearest known key for anything wrong.
Result<Config> load_config(const std::filesystem::path& file, const Host& host);
Result<Config> parse_config(std::string_view text, std::string_view shown_name, const Host& host);
Result<Wishes> parse_wishes(std::string_view text);

// The defaults, raised or lowered by the wishes, never above the ceiling. `cut` names what the ceiling cut.
Limits limits_for(const Config& config, const Wishes& wishes, std::vector<std::string>* cut = nullptr);

// "90s", "30m", "2h"; at least ten seconds, at most a year.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

// "512M", "4GiB", "64 GB" (powers of 1024), or plain bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace locki::sandbox
