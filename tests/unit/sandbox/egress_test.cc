#include "sandbox/egress.h"

#include <gtest/gtest.h>

#include <set>

#include "sandbox/stream_door.h"
#include "sys/file.h"
#include "unit/gate/net_fixture.h"

namespace locki::sandbox {
namespace {

// A machine of which there is only a network, and that somewhere else.
class NetworkOnly : public vm::VmDriver {
 public:
  std::set<std::uint16_t> opened;
  Result<sys::Fd> listen(std::uint16_t port) override {
    opened.insert(port);
    std::uint16_t real = 0;
    return gate::testing::listen_local(real);
  }

  const vm::Capabilities& capabilities() const override { return capabilities_; }
  Result<vm::Started> start(const vm::VmSpec&, const ProgressSink&) override { return no(); }
  Result<vm::Suspended> suspend(const std::string&) override { return no(); }
  void wait_until_durable() override {}
  Result<> forget() override { return no(); }
  Result<> keep_golden() override { return no(); }
  Result<> forget_golden() override { return no(); }
  Result<> stop(std::chrono::milliseconds) override { return no(); }
  Result<> kill() override { return no(); }
  Result<bool> adopt() override { return no(); }
  vm::State state() override { return vm::State::kRunning; }
  Result<vm::Status> status() override { return no(); }
  Result<> go_on() override { return no(); }
  Result<> alive() override { return no(); }
  Result<sys::Fd> exit_event() override { return no(); }
  Result<> run_in_guest(const std::string&, const std::vector<std::string>&, std::chrono::milliseconds) override { return no(); }
  Result<sys::Fd> connect(std::uint16_t) override { return no(); }

 private:
  static tl::unexpected<Error> no() { return fail(ErrorKind::kUnavailable, "a test's machine has a network only"); }
  vm::Capabilities capabilities_{.listen = true};
};

TEST(Egress, LeavesTheMirrorsPortAloneWhateverARuleSays) {
  const auto directory = sys::TemporaryDirectory::make("/tmp", "locki-test").value();
  sys::Paths paths;
  for (const auto& [path, name] : {std::pair(&paths.home, "home"), std::pair(&paths.config, "config"), std::pair(&paths.state, "state")}) {
    *path = directory.path() / name;
    ASSERT_TRUE(sys::make_directories(*path));
  }
  sys::Installation installation;
  installation.share = LOCKI_SOURCE_DIR "/share";
  NetworkOnly machine;
  Egress egress(paths, installation);
  Config config;
  config.net.allow = {"one.example.org:5432", "two.example.org:" + std::to_string(kStreamPort)};
  const auto opened = egress.open(machine, config);
  ASSERT_TRUE(opened) << opened.error().describe();
  EXPECT_EQ(machine.opened, (std::set<std::uint16_t>{80, 443, kProxyPort, 5432}));
}

}  // namespace
}  // namespace locki::sandbox
