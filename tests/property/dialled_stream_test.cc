// The mirror over a connection that the endpoint dials: both real programs as in mirror_e2e_test.cc, over TCP; and the daemon's part in it, with a fake
// incusd that runs the endpoint here.
#include <csignal>
#include <thread>

#include "sandbox/mirrors.h"
#include "support/fake_incus.h"
#include "support/mirror_pair.h"
#include "unit/gate/net_fixture.h"

namespace locki::mirror::test {
namespace {

using namespace std::chrono_literals;

bool soon(const std::function<bool()>& holds) {
  for (const auto deadline = steady_clock::now() + seconds(60); steady_clock::now() < deadline; std::this_thread::sleep_for(20ms)) {
    if (holds()) return true;
  }
  return false;
}

class DialledStream : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { (void)::signal(SIGPIPE, SIG_IGN); }
  void SetUp() override {
    pair_.dial = true;
    pair_.start();
  }
  void expect_same() { EXPECT_EQ(listing(pair_.host()), listing(pair_.inside())); }

  MirrorPair pair_;
};

TEST_F(DialledStream, CarriesFilesAndCommitsBothWays) {
  ASSERT_TRUE(pair_.sync());
  write(pair_.host() / "from-human/large", std::string(20 << 20, 'h'));
  write(pair_.inside() / "from-agent/large", std::string(20 << 20, 'a'));
  for (int i = 0; i < 500; ++i) write(pair_.host() / "many" / std::to_string(i), std::to_string(i));
  ASSERT_TRUE(pair_.sync());
  expect_same();
  const std::string agents = pair_.commit(pair_.inside(), "by the agent");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "HEAD"}), agents);
  const std::string humans = pair_.commit(pair_.host(), "by the human");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.inside(), {"rev-parse", "HEAD"}), humans);
  EXPECT_EQ(pair_.stop().status, 0);
}

TEST_F(DialledStream, EitherSideIsKilledAndItGoesOn) {
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "one", "1");
  EXPECT_EQ(::kill(pair_.worker(), SIGKILL), 0);
  EXPECT_EQ(pair_.wait_endpoint().signal, 0);  // it sees the end of the connection, and nobody had to kill it
  pair_.kill_worker();
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.host() / "two", "2");
  pair_.kill_endpoint();  // waits for the worker
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.host() / "one"), "1");
  EXPECT_EQ(pair_.stop().status, 0);
}

TEST_F(DialledStream, EndsWithItsLifeline) {
  ASSERT_TRUE(pair_.sync());
  pair_.drop_lifeline();
  EXPECT_EQ(pair_.wait_endpoint().status, 0);
  EXPECT_EQ(pair_.wait_worker().status, kStatusFailed);
}

// What the endpoint does when it cannot dial: its exit status.
int dialling(const std::string& where, const std::string& token = std::string(64, 't')) {
  auto pipe = *sys::make_pipe();
  auto nothing = *sys::open_file("/dev/null", O_WRONLY);
  auto child = *sys::spawn({.program = LOCKI_ENDPOINT, .args = {"--dial", where}, .environment = sys::clean_environment(), .in = pipe.read.get(), .out = nothing.get(), .err = nothing.get()});
  (void)sys::write_all(pipe.write.get(), token);
  pipe.write.reset();
  const auto exit = child.wait_for(seconds(30));
  return exit && *exit ? (*exit)->status : -1;
}

TEST(Dial, WhatCannotBeReachedHasAStatusOfItsOwn) {
  (void)::signal(SIGPIPE, SIG_IGN);
  std::uint16_t port = 0;
  const sys::Fd unused = gate::testing::listen_local(port);
  const std::string there = "127.0.0.1:" + std::to_string(port);
  EXPECT_EQ(dialling(there), 0);  // it is reached, and its stdin has ended
  EXPECT_EQ(dialling(there, "short"), 4);
  ::shutdown(unused.get(), SHUT_RDWR);
  EXPECT_EQ(dialling(there), 4);
  for (const char* where : {"localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "[::1]:1", ":1", "127.1:1", "127.0.0.1:1x"}) EXPECT_EQ(dialling(where), 2) << where;
}

// The daemon's part.
class Mirrors : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { (void)::signal(SIGPIPE, SIG_IGN); }
  void SetUp() override {
    EXPECT_TRUE(door_.open(gate::testing::listen_local(port_)));
    pair_.clone();
    plan_.instance = "box";
    plan_.endpoint = {LOCKI_ENDPOINT, "--git", "/usr/bin/git", "--cache", pair_.path("cache").string(), "--notes", "", "--aside", pair_.path("aside").string()};
    plan_.way = sandbox::StreamWay{gate::Address::v4(INADDR_LOOPBACK & ~63U), "127.0.0.1:" + std::to_string(port_)};
    plan_.settings = pair_.settings();
  }
  void start() { mirrors_.start("test", plan_); }
  void expect_mirrored(const std::string& name) {
    write(pair_.host() / name, name);
    const auto synced = mirrors_.sync("test", 120s);
    ASSERT_TRUE(synced) << synced.error().describe();
    EXPECT_EQ(read(pair_.inside() / name), name);
  }
  // How often the endpoint was started, and whether the stream went through incusd.
  std::size_t execs() {
    const auto seen = fake_.seen();
    return static_cast<std::size_t>(std::count_if(seen.begin(), seen.end(), [](const std::string& line) { return line.starts_with("POST /1.0/instances/box/exec"); }));
  }
  bool through_incus() { return fake_.running().sent > 0; }

  locki::test::FakeIncus fake_;
  std::uint16_t port_ = 0;
  sandbox::StreamDoor door_;
  MirrorPair pair_{false};
  sandbox::MirrorPlan plan_;
  sandbox::Mirrors mirrors_{fs::path(LOCKI_MIRROR).parent_path(), pair_.path("log"),
                            [this]() -> Result<std::shared_ptr<incus::Client>> {
                              return incus::Client::make(fake_.tls.config(), fake_.tls.connector()).map([](incus::Client client) { return std::make_shared<incus::Client>(std::move(client)); });
                            },
                            {}, &door_};
};

TEST_F(Mirrors, GoPastIncus) {
  start();
  expect_mirrored("a");
  EXPECT_FALSE(through_incus());
  EXPECT_EQ(execs(), 1U);
  mirrors_.stop("test");
  EXPECT_TRUE(fake_.running().wait_over(10s)) << "the endpoint does not end";
}

TEST_F(Mirrors, BeginAnewWhenTheFarEndEnds) {
  start();
  expect_mirrored("a");
  // As incusd does when it is told to kill the command.
  fake_.running().cut("sc");
  EXPECT_TRUE(soon([&] { return execs() == 2; }));
  expect_mirrored("b");
  EXPECT_FALSE(through_incus());
}

// What somebody inside keeps open of it is not the mirror's any more.
TEST_F(Mirrors, EndTheStreamWithTheCommandThatDialled) {
  auto script = pair_.path("endpoint-that-leaves").string();
  const auto leave = pair_.path("leave").string();
  write(script, "#!/bin/sh\nexec 3<&0\n"
                "{ (head -c 64 <&3; exec sleep 20 3<&-) | " LOCKI_ENDPOINT " \"$@\" 3<&-; } >/dev/null 2>&1 &\n"
                "exec 3<&-\nwhile [ ! -e " + leave + " ]; do sleep 0.1; done\nrm " + leave + "\n");
  fs::permissions(script, fs::perms::owner_all);
  plan_.endpoint[0] = script;
  start();
  expect_mirrored("a");
  EXPECT_EQ(execs(), 1U);
  write(leave, "");
  EXPECT_TRUE(soon([&] { return execs() == 2; }));
  expect_mirrored("b");
}

TEST_F(Mirrors, GoThroughIncusWhereNothingCanBeDialled) {
  plan_.way->where = "127.0.0.1:1";
  start();
  expect_mirrored("a");
  EXPECT_TRUE(through_incus());
  EXPECT_EQ(execs(), 2U);
  // And do not try again.
  fake_.running().cut("sc");
  EXPECT_TRUE(soon([&] { return execs() == 3; }));
  expect_mirrored("b");
  EXPECT_TRUE(through_incus());
}

TEST_F(Mirrors, GoThroughIncusWithAnEndpointThatCannotDial) {
  auto script = pair_.path("old-endpoint").string();
  write(script, "#!/bin/sh\ncase \"$*\" in *--dial*) exit 2;; esac\nexec " LOCKI_ENDPOINT " \"$@\"\n");
  fs::permissions(script, fs::perms::owner_all);
  plan_.endpoint[0] = script;
  start();
  expect_mirrored("a");
  EXPECT_TRUE(through_incus());
}

TEST_F(Mirrors, GoThroughIncusWhereThereIsNoDoor) {
  door_.close();
  start();
  expect_mirrored("a");
  EXPECT_TRUE(through_incus());
  EXPECT_EQ(execs(), 1U);
}

TEST_F(Mirrors, StopWhileNobodyDials) {
  plan_.endpoint = {"/bin/sleep", "60"};
  start();
  (void)fake_.running();
  const auto begun = steady_clock::now();
  mirrors_.stop("test");
  EXPECT_LT(steady_clock::now() - begun, 8s);
  EXPECT_EQ(execs(), 1U);
}

}  // namespace
}  // namespace locki::mirror::test
