// What Incus' REST API (6.0, /1.0) knows, as far as locki needs it. Plain values, read strictly from hostile JSON: names and texts are
// as the server sent them; use printable() before showing them. Field meanings: doc/rest-api.yaml of Incus.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace locki::incus {

using Config = std::map<std::string, std::string>;
using Devices = std::map<std::string, Config>;  // device name -> its keys, "type" among them

struct ServerInfo {
  std::string version;
  bool trusted = false;  // false: our client certificate is not (yet) in the trust store
  std::vector<std::string> extensions;
  bool has(std::string_view extension) const;
};

struct Address {
  std::string family, address, scope;  // "inet" | "inet6"; scope "global" | "link" | "local"
};
struct NetworkState {
  std::string hwaddr;
  std::string state;  // "up" | "down"
  std::vector<Address> addresses;
  std::uint64_t bytes_received = 0, bytes_sent = 0;
};
struct InstanceState {
  std::string status;
  std::int64_t pid = 0;        // of its init, in the server's pid namespace
  std::int64_t processes = 0;
  std::int64_t cpu_nanoseconds = 0;
  std::int64_t memory_bytes = 0, memory_peak_bytes = 0;
  std::map<std::string, std::int64_t> disk_bytes;  // device -> used
  std::map<std::string, NetworkState> network;     // interface -> state
  // The first global address of that family on any interface but lo.
  std::optional<std::string> address(std::string_view family = "inet") const;
};

struct Instance {
  std::string name, status, type, description;
  bool ephemeral = false;
  Config config;
  Devices devices;           // its own
  Config expanded_config;    // with those of its profiles
  Devices expanded_devices;
  std::vector<std::string> profiles;
  std::string created_at, last_used_at;  // RFC 3339
  std::optional<InstanceState> state;    // only from list_instances(true)
  bool running() const { return status == "Running"; }
};

struct FromImage {
  std::string fingerprint;  // this one,
  std::string alias;        // or else this
};
struct FromInstance {
  std::string instance;
};
struct CreateInstance {
  std::string name;
  std::variant<FromImage, FromInstance> source;
  std::string description;
  std::vector<std::string> profiles;  // for a copy: empty means those of the source
  Config config;
  Devices devices;
  bool ephemeral = false;
};
// What changes; the rest stays. An empty value removes a config key. Devices are replaced whole under their name.
struct InstancePatch {
  Config config;
  Devices devices;
};

struct Image {
  std::string fingerprint;
  std::vector<std::string> aliases;
  std::uint64_t size = 0;
  std::map<std::string, std::string> properties;
};
struct ImageImport {
  int metadata_fd = -1;  // a unified tarball, or the metadata tarball of a split image; borrowed, read from its position
  std::uint64_t metadata_size = 0;
  int rootfs_fd = -1;  // the split image's rootfs (squashfs or tarball); -1: unified
  std::uint64_t rootfs_size = 0;
  std::string alias;  // set after the import; replaces one that points elsewhere
};

struct Named {  // profiles, networks, pools, volumes
  std::string name, description, type;
  Config config;
  Devices devices;  // profiles only
};

enum class FileKind { kFile, kDirectory, kSymlink };
struct FilePush {
  std::string path;  // absolute, inside the instance
  FileKind kind = FileKind::kFile;
  std::string content;  // of a file; a symlink's target
  int content_fd = -1;  // >= 0: the file's content, `content_length` bytes
  std::uint64_t content_length = 0;
  std::uint32_t uid = 0, gid = 0, mode = 0644;
};
struct PulledFile {
  FileKind kind = FileKind::kFile;
  std::string content;               // a symlink's target for a symlink
  std::vector<std::string> entries;  // of a directory
  std::uint32_t uid = 0, gid = 0, mode = 0;
};

struct Operation {
  std::string id, status, error, description;
  int status_code = 0;  // 103 running, 200 success, 400 failure, 401 cancelled
  bool done() const { return status_code >= 200; }
};

}  // namespace locki::incus
