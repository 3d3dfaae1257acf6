#include "sandbox/provision.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

incus::Named pool_definition() {
  // On the data disk, beside Incus' own database (recipes/vm: data-up mounts it there).
  return {.name = std::string(kPool), .description = "sandboxes", .type = "btrfs", .config = {{"source", "/data/pool"}}};
}

namespace {

// Every name is answered in the machine, with an address that the VM leads to the host's gate (recipes/vm: nftables.conf); of anything but IPv4 addresses
// there is none. No question leaves the machine.
incus::Named network_with(const std::string& names) {
  return {.name = std::string(kNetwork),
          .description = "sandboxes",
          .type = "bridge",
          // No DHCP: LXC gives each container its address, which saves a daemon in each and a second at its start. Without "managed" Incus
          // would start no dnsmasq at all.
          .config = {{"ipv4.address", "10.77.0.1/16"}, {"ipv4.nat", "true"}, {"ipv4.dhcp", "false"}, {"ipv6.address", "none"}, {"dns.mode", "managed"},
                     {"raw.dnsmasq", fmt::format("no-resolv\nlocal=/#/\naddress=/#/198.18.0.{}\naddress=/localhost/127.0.0.1", gate::HostTable::kAnyHost) + names}}};
}

// A line for each: its address and its name, in that order with a space between, or as a setting of dnsmasq.
template <typename Line>
std::string lines_of(const gate::HostTable& hosts, Line line) {
  std::string text;
  for (std::uint8_t place = gate::HostTable::kFirstHost; place < gate::HostTable::kSize; ++place) {
    if (!hosts.at(place).empty()) text += line(fmt::format("198.18.0.{}", place), hosts.at(place));
  }
  return text;
}

}  // namespace

incus::Named network_definition() { return network_with(fmt::format("\naddn-hosts={}", kNamesFile)); }

incus::Named network_definition(const gate::HostTable& hosts) {
  // Of this name alone, not of what is beneath it.
  return network_with(lines_of(hosts, [](const std::string& address, const std::string& name) { return fmt::format("\nhost-record={},{}", name, address); }));
}

std::vector<std::string> names_change(const gate::HostTable& hosts) {
  // At SIGHUP dnsmasq forgets all names and reads its files anew (dnsmasq(8), NOTES). Where its process is, Incus notes as YAML.
  constexpr std::string_view kScript = R"sh(set -eu
umask 022
printf %s "$2" >"$1.new"
mv "$1.new" "$1"
pid=$(sed -n 's/^pid: *\([0-9][0-9]*\)$/\1/p' "/var/lib/incus/networks/$3/dnsmasq.pid")
test "$(cat "/proc/$pid/comm")" = dnsmasq
tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q "networks/$3/dnsmasq.raw"
grep -qx "addn-hosts=$1" "/var/lib/incus/networks/$3/dnsmasq.raw"
kill -HUP "$pid")sh";
  return {"-c", std::string(kScript), "sh", kNamesFile, lines_of(hosts, [](const std::string& address, const std::string& name) { return address + " " + name + "\n"; }), std::string(kNetwork)};
}

incus::Config network_config(const std::string& address) {
  return {{"raw.lxc", "lxc.net.0.ipv4.address=" + address + "/16\nlxc.net.0.ipv4.gateway=10.77.0.1"}};
}

incus::Config network_device(const std::string& address) {
  return {{"type", "nic"},
          {"network", std::string(kNetwork)},
          {"name", "eth0"},
          {"ipv4.address", address},
          {"security.mac_filtering", "true"},
          {"security.ipv4_filtering", "true"},
          {"security.port_isolation", "true"}};
}

incus::Named profile_definition() {
  incus::Named profile{.name = std::string(kProfile), .description = "a sandbox"};
  profile.config = {{"security.privileged", "false"}, {"security.idmap.isolated", "true"}, {"security.nesting", "false"},
                    {"boot.autostart", "false"}};
  const std::string bundle(kCertificates);
  for (const char* name : {"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
                           "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE"}) {
    profile.config[std::string("environment.") + name] = bundle;
  }
  profile.devices["root"] = {{"type", "disk"}, {"path", "/"}, {"pool", std::string(kPool)}};
  return profile;
}

namespace {

Result<> import_sandbox_image(incus::Client& client, const ImageFiles& image, const ProgressSink& progress) {
  TRY_ASSIGN(const auto known, client.image_by_alias(image.alias));
  if (known) return {};
  Phase phase(progress, "image", "Importing the sandbox image into the VM");
  TRY_ASSIGN(sys::Fd metadata, sys::open_file(image.metadata, O_RDONLY));
  TRY_ASSIGN(sys::Fd rootfs, sys::open_file(image.rootfs, O_RDONLY));
  incus::ImageImport import;
  import.metadata_fd = metadata.get();
  import.rootfs_fd = rootfs.get();
  std::error_code error;
  import.metadata_size = fs::file_size(image.metadata, error);
  if (!error) import.rootfs_size = fs::file_size(image.rootfs, error);
  if (error) return fail(ErrorKind::kFailed, "cannot see the size of the sandbox image: " + error.message());
  import.alias = image.alias;
  incus::WaitOptions wait;
  wait.timeout = std::chrono::seconds(1800);
  wait.progress = progress;
  wait.phase = "image";
  TRY(client.import_image(import, wait));
  return {};
}

}  // namespace

bool may_pass(const Error& error) {
  // The second comes after the first: the operation that missed the deadline goes on for a while.
  for (const std::string_view text : {"deadline exceeded", "is busy running a"}) {
    if (error.message().find(text) != std::string::npos) return true;
  }
  return false;
}

std::string provision_id(const ImageFiles& image, const gate::HostTable& hosts) {
  std::string all = image.alias + "\n" + names_change(hosts).at(4);
  for (const auto& part : {pool_definition(), network_definition(), profile_definition()}) {
    for (const auto& [key, value] : part.config) all += "\n" + key + "=" + value;
    for (const auto& [name, device] : part.devices) {
      for (const auto& [key, value] : device) all += "\n" + name + "." + key + "=" + value;
    }
  }
  return hash_of(all).to_hex();
}

Result<> provision_network(incus::Client& client, const incus::Named& wanted) {
  TRY_ASSIGN(const auto network, client.network(kNetwork));
  if (!network) TRY(context(client.create_network(wanted), "while making the network"));
  // A machine that an earlier locki made may be set up in another way.
  const bool differs = network && std::any_of(wanted.config.begin(), wanted.config.end(), [&](const auto& setting) {
    const auto there = network->config.find(setting.first);
    return there == network->config.end() || there->second != setting.second;
  });
  if (differs) TRY(context(client.patch_network(kNetwork, wanted.config), "while setting up the network"));
  return {};
}

Result<> provision(incus::Client& client, const ImageFiles& image, const ProgressSink& progress) {
  TRY_ASSIGN(const auto pool, client.storage_pool(kPool));
  if (!pool) TRY(context(client.create_storage_pool(pool_definition()), "while making the storage pool"));
  TRY(provision_network(client, network_definition()));
  TRY(context(client.put_profile(profile_definition()), "while making the profile"));
  return context(import_sandbox_image(client, image, progress), "while importing the sandbox image");
}

}  // namespace locki::sandbox
