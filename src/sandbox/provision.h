// What incusd needs once before the first sandbox: storage pool, network, profile, and the sandbox image. Idempotent: each run brings
// whatever is missing. The bodies are pure functions, so that tests compare them whole.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/progress.h"
#include "gate/host_table.h"
#include "incus/client.h"

namespace locki::sandbox {

inline constexpr std::string_view kPool = "default";
inline constexpr std::string_view kNetwork = "incusbr0";
inline constexpr std::string_view kProfile = "sandbox";
// The bundle inside a container that every tool is pointed to.
inline constexpr std::string_view kCertificates = "/etc/ssl/certs/ca-certificates.crt";

incus::Named pool_definition();
// Which names have an address of their own (gate/host_table.h), the machine's name server reads in a file there, which can change while it runs: names_change().
inline constexpr const char* kNamesFile = "/run/locki-names";
incus::Named network_definition();
// The same with the names in Incus' own settings, whose every change starts the name server anew (seconds): for a machine in which the file cannot be written.
incus::Named network_definition(const gate::HostTable& hosts);
// Arguments of /bin/sh in the machine, as root, for these names and no others to hold when it has ended with 0.
std::vector<std::string> names_change(const gate::HostTable& hosts);
// Unprivileged, an id range of its own; the certificates in the environment. The card is each container's own:
incus::Named profile_definition();
// No forged addresses, no neighbours. `address` is of 10.77.0.0/16; .0.1 is the bridge, .0.2 the builder.
inline constexpr std::string_view kBuilderAddress = "10.77.0.2";
incus::Config network_device(const std::string& address);
incus::Config network_config(const std::string& address);  // for the instance's config

// On a machine that is short of everything, Incus' own database misses its ten seconds, and what was asked for is busy for a while: the work is
// sound, and may be asked for again.
bool may_pass(const Error& error);
// Does it, and again for that reason, five more times at most, over half a minute.
template <typename Once>
auto patiently(std::string_view what, const Once& once) {
  auto done = once();
  for (int attempt = 0; attempt < 5 && !done && may_pass(done.error()); ++attempt) {
    log::warning("{} again: {}", what, done.error().describe());
    std::this_thread::sleep_for(std::chrono::seconds(1 << attempt));
    done = once();
  }
  return done;
}

struct ImageFiles {
  std::filesystem::path metadata;  // a tarball with metadata.yaml
  std::filesystem::path rootfs;    // tarball
  std::string alias;               // "sandbox-KEY": content-addressed
};

// Of all that provision() and names_change() make: a machine that was suspended with the same id needs none of it again.
std::string provision_id(const ImageFiles& image, const gate::HostTable& hosts);

Result<> provision(incus::Client& client, const ImageFiles& image, const ProgressSink& progress);
// The network is as in that definition.
Result<> provision_network(incus::Client& client, const incus::Named& wanted);

}  // namespace locki::sandbox
