// libexec/locki/locki: everything, with TLS.
#include "base/strings.h"
#include "cli/main_services.h"
#include "daemon/server.h"
#include "incus/client.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

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

class CoreServices : public CommonServices {
 public:
  using CommonServices::CommonServices;
  Result<std::unique_ptr<Execution>> execution(const OpenedSandbox& sandbox) override {
    net::TlsConfig tls;
    TRY_ASSIGN(tls.client_cert_pem, sys::read_file(sandbox.client_cert, 1 << 20));
    TRY_ASSIGN(tls.client_key_pem, sys::read_file(sandbox.client_key, 1 << 20));
    TRY_ASSIGN(tls.pinned_server_cert_pem, sys::read_file(sandbox.server_cert, 1 << 20));
    if (const auto ticket = unbase64(sandbox.tls_ticket)) tls.ticket = as_text(*ticket);
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
  Result<int> run_daemon() override { return daemon::run(paths_, installation_); }
  Result<gate::GateCost> gate_cost(const gate::CostPlan& plan) override { return gate::measure_cost(plan); }
};

}  // namespace

std::unique_ptr<Services> real_services(const sys::Paths& paths, const sys::Installation& installation, char**) {
  return std::make_unique<CoreServices>(paths, installation);
}

}  // namespace locki::cli
