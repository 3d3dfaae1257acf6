// What hostile callers try is in tests/attack/stream_door_test.cc.
#include "sandbox/stream_door.h"

#include <fcntl.h>
#include <netinet/tcp.h>

#include <thread>

#include "unit/gate/net_fixture.h"

namespace locki::sandbox {
namespace {

using namespace std::chrono_literals;
using gate::testing::listen_local;
using gate::testing::Peer;

class StreamDoorTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(door_.open(listen_local(port_, INADDR_ANY))); }
  std::unique_ptr<StreamDoor::Expected> expect() { return std::move(door_.expect(gate::Address::v4(INADDR_LOOPBACK & ~63U))).value(); }

  std::uint16_t port_ = 0;
  StreamDoor door_;
};

TEST_F(StreamDoorTest, GivesTheConnectionToWhomeverWaits) {
  const auto expected = expect();
  EXPECT_EQ(expected->token().size(), kStreamTokenSize);
  Peer far = Peer::connect(port_);
  // What comes with the token, or right after it, is the stream's.
  far.send(expected->token().substr(0, 10));
  std::this_thread::sleep_for(20ms);
  far.send(expected->token().substr(10) + "and more");
  auto fd = expected->wait(10s);
  ASSERT_TRUE(fd) << fd.error().describe();
  EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  ::getsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
  EXPECT_EQ(no_delay, 1);
  ASSERT_TRUE(sys::set_nonblocking(fd->get(), false));
  Peer near(std::move(*fd));
  EXPECT_EQ(near.receive_exactly(8), "and more");
  near.send("back");
  EXPECT_EQ(far.receive_exactly(4), "back");
  // What was handed over outlives the door.
  door_.close();
  near.send("still");
  EXPECT_EQ(far.receive_exactly(5), "still");
}

TEST_F(StreamDoorTest, EveryTokenIsAnother) { EXPECT_NE(expect()->token(), expect()->token()); }

TEST_F(StreamDoorTest, EachSandboxHasItsOwn) {
  const auto one = expect();
  const auto other = std::move(door_.expect(gate::Address::v4((INADDR_LOOPBACK & ~63U) + 64))).value();
  // Any of the 64 addresses is the sandbox's.
  Peer second = Peer::connect(port_, 0, INADDR_LOOPBACK + 64 + 62);
  second.send(other->token());
  Peer first = Peer::connect(port_);
  first.send(one->token());
  EXPECT_TRUE(one->wait(10s));
  EXPECT_TRUE(other->wait(10s));
}

TEST_F(StreamDoorTest, NobodyComes) {
  EXPECT_EQ(expect()->wait(20ms).error().kind(), ErrorKind::kTimeout);
  const auto expected = expect();
  Peer far = Peer::connect(port_);
  std::thread other([&] { expected->cancel(); });
  EXPECT_EQ(expected->wait(60s).error().kind(), ErrorKind::kCancelled);
  other.join();
  // Then it is too late.
  far.send(expected->token());
  EXPECT_EQ(far.receive(), "");
}

TEST_F(StreamDoorTest, TheNewestStands) {
  const auto before = expect(), now = expect();
  EXPECT_EQ(before->wait(60s).error().kind(), ErrorKind::kUnavailable);
  Peer far = Peer::connect(port_);
  far.send(now->token());
  EXPECT_TRUE(now->wait(10s));
}

TEST_F(StreamDoorTest, EndsAndBeginsWithTheMachine) {
  EXPECT_TRUE(door_.is_open());
  const auto expected = expect();
  Peer unproven = Peer::connect(port_);
  std::thread other([&] { door_.close(); });
  EXPECT_EQ(expected->wait(60s).error().kind(), ErrorKind::kUnavailable);
  other.join();
  EXPECT_EQ(unproven.receive(), "");
  EXPECT_FALSE(door_.is_open());
  EXPECT_EQ(door_.expect(gate::Address::v4(INADDR_LOOPBACK & ~63U)).error().kind(), ErrorKind::kUnavailable);
  ASSERT_TRUE(door_.open(listen_local(port_, INADDR_ANY)));
  const auto again = expect();
  Peer far = Peer::connect(port_);
  far.send(again->token());
  EXPECT_TRUE(again->wait(10s));
}

TEST_F(StreamDoorTest, ADoorThatIsGone) {
  auto door = std::make_unique<StreamDoor>();
  std::uint16_t port = 0;
  ASSERT_TRUE(door->open(listen_local(port)));
  const auto expected = std::move(door->expect(gate::Address::v4(INADDR_LOOPBACK & ~63U))).value();
  door.reset();
  EXPECT_EQ(expected->wait(60s).error().kind(), ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace locki::sandbox
