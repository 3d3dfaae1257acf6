// bin/locki: what needs no TLS; for the rest it becomes libexec/locki/locki.
#include <unistd.h>

#include <cerrno>

#include "cli/command.h"
#include "cli/main_services.h"

namespace locki::cli {
namespace {

class FrontServices : public CommonServices {
 public:
  FrontServices(const sys::Paths& paths, const sys::Installation& installation, char** argv) : CommonServices(paths, installation), argv_(argv) {}
  Result<> prepare(const Command& command) override {
    if (!command.inside) return {};
    // The same words, environment, directory and descriptors: it is the same command.
    ::execv(installation_.core.c_str(), argv_);
    return fail_errno(errno, "cannot run " + printable(installation_.core.native()));
  }
  // A command that comes here lacks Command::inside; tests find those.
  Result<std::unique_ptr<Execution>> execution(const OpenedSandbox&) override { return fail(ErrorKind::kFailed, "this program speaks no TLS"); }
  Result<int> run_daemon() override { return fail(ErrorKind::kFailed, "this program is not the daemon"); }
  Result<gate::GateCost> gate_cost(const gate::CostPlan&) override { return fail(ErrorKind::kFailed, "this program has no gate"); }

 private:
  char** argv_;
};

}  // namespace

std::unique_ptr<Services> real_services(const sys::Paths& paths, const sys::Installation& installation, char** argv) {
  return std::make_unique<FrontServices>(paths, installation, argv);
}

}  // namespace locki::cli
