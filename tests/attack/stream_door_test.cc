// A sandbox at the port where mirrors' streams come in: it may call there as often as it likes, and say anything. What it must not get: the stream of
// another's mirror, a descriptor or a line of the log for each call, or the place of another who is expected.
#include "sandbox/stream_door.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <filesystem>

#include "base/log.h"
#include "gate/socket_ops.h"
#include "sys/file.h"
#include "unit/gate/net_fixture.h"

namespace locki::sandbox {
namespace {

using namespace std::chrono_literals;
using gate::testing::listen_local;
using gate::testing::Peer;

constexpr std::uint32_t kVictim = INADDR_LOOPBACK, kAttacker = INADDR_LOOPBACK + 64;

std::ptrdiff_t open_descriptors() { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); }

class HostileCaller : public testing::Test {
 protected:
  void SetUp() override {
    log_.reset(::memfd_create("log", MFD_CLOEXEC));
    log::open(log_.get(), log::Level::kInfo, "test");
    ASSERT_TRUE(door_.open(listen_local(port_, INADDR_ANY)));
  }
  void TearDown() override {
    door_.close();
    log::open(-1, log::Level::kInfo, "test");
  }
  std::unique_ptr<StreamDoor::Expected> expect(std::uint32_t who) { return std::move(door_.expect(gate::Address::v4(who & ~63U))).value(); }
  // One that is refused may find out already while it connects.
  Peer call(std::uint32_t who, std::string_view says = "") {
    sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port_)};
    address.sin_addr.s_addr = htonl(who);
    const bool connected = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    EXPECT_TRUE(connected || errno == ECONNRESET) << errno;
    Peer peer(std::move(fd));
    peer.send(says);
    return peer;
  }
  // The one that is expected comes through, whatever else is there.
  void expect_victim_comes(StreamDoor::Expected& victim) {
    const Peer right = call(kVictim, victim.token());
    const auto fd = victim.wait(5s);
    EXPECT_TRUE(fd) << fd.error().describe();
  }
  std::ptrdiff_t log_lines() const {
    std::string text(1 << 16, '\0');
    const ssize_t size = ::pread(log_.get(), text.data(), text.size(), 0);
    return std::count(text.begin(), text.begin() + std::max<ssize_t>(size, 0), '\n');
  }

  sys::Fd log_;
  std::uint16_t port_ = 0;
  StreamDoor door_{{.unproven_each = 4, .unproven = 12, .proof = 300ms}};
};

TEST_F(HostileCaller, SaysNothing) {
  const auto victim = expect(kVictim), own = expect(kAttacker);
  const auto begun = std::chrono::steady_clock::now();
  Peer silent = call(kAttacker);
  EXPECT_EQ(silent.receive(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  expect_victim_comes(*victim);
}

TEST_F(HostileCaller, SaysItByteByByte) {
  const auto own = expect(kAttacker);
  Peer slow = call(kAttacker);
  std::size_t said = 0;
  while (said < own->token().size() && slow.send(own->token().substr(said, 1))) {
    ++said;
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_LT(said, own->token().size());
  EXPECT_EQ(own->wait(0ms).error().kind(), ErrorKind::kTimeout);
}

TEST_F(HostileCaller, GuessesTheToken) {
  const auto own = expect(kAttacker);
  for (const std::string& guess : {std::string(64, '0'), std::string(own->token()).replace(63, 1, own->token()[63] == '0' ? "1" : "0"), std::string(64, '\0'), std::string(10'000, 'x')}) {
    Peer wrong = call(kAttacker, guess);
    EXPECT_EQ(wrong.receive(), "");
  }
  EXPECT_EQ(own->wait(0ms).error().kind(), ErrorKind::kTimeout);
}

TEST_F(HostileCaller, EndsHalfWay) {
  const auto own = expect(kAttacker);
  for (int i = 0; i < 20; ++i) {
    Peer half = call(kAttacker, std::string_view(own->token()).substr(0, 63));
    half.end();
    EXPECT_EQ(half.receive(), "");
  }
  // And that was not held against the next one.
  const Peer right = call(kAttacker, own->token());
  EXPECT_TRUE(own->wait(5s));
}

TEST_F(HostileCaller, KnowsTheTokenOfAnother) {
  const auto victim = expect(kVictim), own = expect(kAttacker);
  Peer thief = call(kAttacker, victim->token());
  EXPECT_EQ(thief.receive(), "");
  expect_victim_comes(*victim);
  // Nor when it is not expected itself.
  const auto again = expect(kVictim);
  Peer stranger = call(kAttacker + 64, again->token());
  EXPECT_EQ(stranger.receive(), "");
  expect_victim_comes(*again);
}

TEST_F(HostileCaller, ComesAfterTheRightOne) {
  const auto victim = expect(kVictim);
  Peer early = call(kVictim);  // waits for its hour
  expect_victim_comes(*victim);
  early.send(victim->token());
  EXPECT_EQ(early.receive(), "");
  Peer late = call(kVictim, victim->token());
  EXPECT_EQ(late.receive(), "");
}

TEST_F(HostileCaller, CallsTenThousandTimes) {
  const auto before = open_descriptors();
  const auto victim = expect(kVictim), own = expect(kAttacker);
  // Never more than a few at once are ours; those of the caller lie in this process as well.
  for (int round = 0; round < 100; ++round) {
    std::vector<Peer> flood;
    for (int i = 0; i < 100; ++i) {
      flood.push_back(call(kAttacker));
      gate::reset_on_close(flood.back().fd());  // or this host runs out of ports
    }
    EXPECT_LE(open_descriptors() - before, 100 + 4 + 2);
    // One that nobody expects takes no room at all.
    if (round == 50) expect_victim_comes(*victim);
  }
  const auto again = expect(kVictim);
  expect_victim_comes(*again);
  EXPECT_TRUE(gate::testing::soon([&] { return open_descriptors() <= before + 2; })) << open_descriptors() - before;
  EXPECT_EQ(log_lines(), 1);
}

// Only the machine's own root can.
TEST_F(HostileCaller, CallsInTheNameOfAll) {
  const auto victim = expect(kVictim);
  std::vector<std::unique_ptr<StreamDoor::Expected>> all;
  std::vector<Peer> flood;
  const auto before = open_descriptors();
  for (std::uint32_t who = 1; who <= 100; ++who) {
    all.push_back(expect(kVictim + who * 64));
    for (int i = 0; i < 4; ++i) flood.push_back(call(kVictim + who * 64));
  }
  std::this_thread::sleep_for(100ms);
  EXPECT_LE(open_descriptors() - before, 400 + 12 + 2);
  // It is over when their time is.
  std::this_thread::sleep_for(400ms);
  expect_victim_comes(*victim);
}

}  // namespace
}  // namespace locki::sandbox
