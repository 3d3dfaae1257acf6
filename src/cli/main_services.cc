#include "cli/main_services.h"

#include <functional>

#include "daemon/server.h"
#include "incus/client.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

class DaemonCaller : public Caller {
 public:
  using Connect = std::function<Result<daemon::Client>()>;
  DaemonCaller(daemon::Client client, Connect again) : client_(std::move(client)), again_(std::move(again)) {}
  Result<daemon::Reply> call(std::string_view method, json::object params, const ProgressSink& progress) override {
    // These may be asked twice (opening brings up what is not up yet), so the user need not hear of a daemon that died meanwhile.
    const bool twice = again_ && (method == "sandbox.open" || method == "incus.connect");
    auto reply = client_.call(method, params, progress);
    if (reply || !client_.lost() || !twice) return reply;
    TRY_ASSIGN(client_, again_());
    return client_.call(method, std::move(params), progress);
  }

 private:
  daemon::Client client_;
  Connect again_;
};

class IncusExecution : public Execution {
 public:
  explicit IncusExecution(incus::Client client) : client_(std::move(client)) {}
  Result<incus::ExecResult> exec(const std::string& instance, const incus::ExecRequest& request, incus::ExecIo io) override {
    return client_.exec(instance, request, io, control_);
  }
  void resize(int width, int height) override { control_.resize(width, height); }
  void signal(int number) override { control_.signal(number); }
  void cancel() override { control_.cancel(); }

 private:
  incus::Client client_;
  incus::ExecControl control_;
};

class RealServices : public Services {
 public:
  RealServices(const sys::Paths& paths, const sys::Installation& installation) : paths_(paths), installation_(installation) {}

  Result<std::unique_ptr<Caller>> connect() override {
    TRY_ASSIGN(auto client, daemon::Client::connect(paths_, installation_));
    return std::make_unique<DaemonCaller>(std::move(client), [this] { return daemon::Client::connect(paths_, installation_); });
  }
  Result<std::unique_ptr<Caller>> connect_existing() override {
    TRY_ASSIGN(auto client, daemon::Client::connect_existing(paths_));
    return std::make_unique<DaemonCaller>(std::move(client), nullptr);
  }
  Result<std::unique_ptr<Execution>> execution(const OpenedSandbox& sandbox) override {
    net::TlsConfig tls;
    TRY_ASSIGN(tls.client_cert_pem, sys::read_file(sandbox.client_cert, 1 << 20));
    TRY_ASSIGN(tls.client_key_pem, sys::read_file(sandbox.client_key, 1 << 20));
    TRY_ASSIGN(tls.pinned_server_cert_pem, sys::read_file(sandbox.server_cert, 1 << 20));
    // The daemon hands out connected streams, one a call; it never sees what goes over them.
    const auto connect_incus = [this]() -> Result<sys::Fd> {
      TRY_ASSIGN(const auto daemon, this->connect());
      TRY_ASSIGN(auto reply, daemon->call("incus.connect", {}, {}));
      if (reply.fds.size() != 1) return fail(ErrorKind::kProtocol, "the daemon did not hand over a connection to the virtual machine");
      return std::move(reply.fds.front());
    };
    TRY_ASSIGN(auto client, incus::Client::make(tls, connect_incus));
    return std::make_unique<IncusExecution>(std::move(client));
  }
  Result<std::optional<std::size_t>> pick(const std::string& prompt, const std::vector<term::PickerItem>& items) override {
    return term::pick_on_terminal(0, 2, true, prompt, items);
  }
  Result<int> run_daemon() override { return daemon::run(paths_, installation_); }

 private:
  const sys::Paths& paths_;
  const sys::Installation& installation_;
};

}  // namespace

std::unique_ptr<Services> real_services(const sys::Paths& paths, const sys::Installation& installation) {
  return std::make_unique<RealServices>(paths, installation);
}

}  // namespace locki::cli
