#include "cli/main_services.h"

#include <functional>

#include "daemon/client.h"

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

}  // namespace

Result<std::unique_ptr<Caller>> CommonServices::connect() {
  TRY_ASSIGN(auto client, daemon::Client::connect(paths_, installation_));
  return std::make_unique<DaemonCaller>(std::move(client), [this] { return daemon::Client::connect(paths_, installation_); });
}

Result<std::unique_ptr<Caller>> CommonServices::connect_existing() {
  TRY_ASSIGN(auto client, daemon::Client::connect_existing(paths_));
  return std::make_unique<DaemonCaller>(std::move(client), nullptr);
}

Result<std::optional<std::size_t>> CommonServices::pick(const std::string& prompt, const std::vector<term::PickerItem>& items) {
  return term::pick_on_terminal(0, 2, true, prompt, items);
}

}  // namespace locki::cli
