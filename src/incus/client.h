// A typed client of one Incus server (6.0 REST API) over pinned TLS. Thread-safe: any number of threads may call at once.
//
// Everything the server answers is hostile: bounded, read strictly (a missing member or a wrong type is kProtocol), and its error
// texts are made printable. Calls block until the thing is done: background operations are waited for. Errors beyond those of
// net::HttpClient: kNotFound (404), kExists, kConflict (409, 412), kPermission (401, 403), kFailed with Incus' own words.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "incus/exec.h"
#include "incus/types.h"
#include "net/tls.h"

namespace locki::incus {

struct WaitOptions {
  std::chrono::seconds timeout{600};
  ProgressSink progress;               // kUpdate events with Incus' progress texts
  std::string phase = "incus";         // their phase id
  std::stop_token stop;                // kCancelled; a cancellable operation is cancelled
};

class Client {
 public:
  // Makes no connection yet.
  static Result<Client> make(const net::TlsConfig& tls, net::Connector connect);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // ---- server
  Result<ServerInfo> server(std::chrono::milliseconds timeout = std::chrono::seconds(30));
  // True as soon as it answers and trusts us; tries until the deadline. kTimeout with the last reason.
  Result<> wait_ready(std::chrono::milliseconds timeout, std::stop_token stop = {});
  // The same of a server that is known to trust us: it only has to answer, which costs it much less than describing itself.
  Result<> wait_answer(std::chrono::milliseconds timeout, std::stop_token stop = {});
  Result<> set_server_config(const Config& config);
  void drop_connections();  // kept ones, for instance after the VM was suspended
  std::string ticket() const;  // net::TlsConfig::ticket, for another client of this server

  // ---- instances
  Result<> create_instance(const CreateInstance& wanted, const WaitOptions& wait = {});
  Result<Instance> instance(std::string_view name);
  Result<bool> instance_exists(std::string_view name);
  Result<std::vector<Instance>> list_instances(bool with_state = false);
  Result<InstanceState> instance_state(std::string_view name);
  Result<> start(std::string_view name, const WaitOptions& wait = {});  // a running one is fine
  // force: kill. Otherwise an orderly shutdown of at most `grace`. A stopped one is fine.
  Result<> stop(std::string_view name, bool force, std::chrono::seconds grace = std::chrono::seconds(30), const WaitOptions& wait = {});
  Result<> delete_instance(std::string_view name, const WaitOptions& wait = {});  // must be stopped; absent is kNotFound
  Result<> patch_instance(std::string_view name, const InstancePatch& patch);
  Result<> rename_instance(std::string_view name, std::string_view to, const WaitOptions& wait = {});
  // Adds it or replaces the one of that name; hot-plugged when the instance runs.
  Result<> set_device(std::string_view instance, std::string_view device, const Config& keys);
  Result<> remove_device(std::string_view instance, std::string_view device);  // absent is fine

  // ---- profiles, networks, storage pools, custom volumes. create_* is kExists when there is one; delete_* is fine when there is none.
  Result<std::optional<Named>> profile(std::string_view name);
  Result<> put_profile(const Named& profile);  // creates or replaces
  Result<> delete_profile(std::string_view name);
  Result<std::optional<Named>> network(std::string_view name);
  Result<> create_network(const Named& network);
  Result<> patch_network(std::string_view name, const Config& config);
  Result<> delete_network(std::string_view name);
  Result<std::optional<Named>> storage_pool(std::string_view name);
  Result<> create_storage_pool(const Named& pool);  // type is the driver: "btrfs", "dir"
  Result<> delete_storage_pool(std::string_view name);
  Result<std::optional<Named>> volume(std::string_view pool, std::string_view name);
  Result<std::vector<Named>> list_volumes(std::string_view pool);
  Result<> create_volume(std::string_view pool, const Named& volume);
  // A copy inside the pool (copy-on-write where the driver can).
  Result<> copy_volume(std::string_view pool, std::string_view from, std::string_view to, const WaitOptions& wait = {});
  Result<> patch_volume(std::string_view pool, std::string_view name, const Config& config);
  Result<> delete_volume(std::string_view pool, std::string_view name);
  // Network ACLs, for egress policies inside the server.
  Result<> put_network_acl(std::string_view name, json::object body);

  // ---- images
  // Uploads (progress: phase of `wait`) and waits for the unpacking. Returns the fingerprint. An image that is there already is fine
  // when the alias tells which: kExists otherwise.
  Result<std::string> import_image(const ImageImport& image, const WaitOptions& wait = {});
  Result<std::optional<Image>> image(std::string_view fingerprint);
  Result<std::optional<std::string>> image_by_alias(std::string_view alias);  // its fingerprint
  Result<std::vector<Image>> list_images();
  Result<> set_image_alias(std::string_view alias, std::string_view fingerprint);
  Result<> delete_image(std::string_view fingerprint, const WaitOptions& wait = {});  // absent is fine

  // ---- files in an instance
  Result<> push_file(std::string_view instance, const FilePush& file);
  Result<PulledFile> pull_file(std::string_view instance, std::string_view path, std::size_t limit = 1 << 20);
  Result<> delete_file(std::string_view instance, std::string_view path);  // absent is fine

  // ---- commands
  // Blocks until the command ended and all its output is written. Byte-exact both ways; the end of `in` is the end of its stdin, a
  // closed reader of `out` gives it SIGPIPE. Memory is bounded: reading stops on either side while the other is slow. Without a
  // terminal the process that calls must ignore SIGPIPE. Errors: kCancelled; kUnavailable when the connection broke (the
  // command is killed then); kFailed with Incus' words when the command could not be started.
  Result<ExecResult> exec(std::string_view instance, const ExecRequest& request, ExecIo io, ExecControl& control);
  Result<RunResult> run(std::string_view instance, std::vector<std::string> argv, const RunOptions& options = {});
  // run(), where a status other than 0 is an error with the end of its stderr. Returns stdout.
  Result<std::string> run_ok(std::string_view instance, std::vector<std::string> argv, const RunOptions& options = {});

  // ---- for what has no function of its own. Returns the answer's metadata; an asynchronous one is waited for.
  Result<json::value> call(std::string_view method, std::string target, const json::value* body = nullptr, const WaitOptions& wait = {});

  // Until `acceptable` has no objection to the answer.
  Result<> wait_for(std::string_view target, Result<> (*acceptable)(const json::value&), std::chrono::milliseconds timeout, const std::stop_token& stop);

  struct Impl;  // client_impl.h, for incus/ only

 private:
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::incus
