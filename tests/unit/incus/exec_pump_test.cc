#include "incus/exec_pump.h"

#include <gtest/gtest.h>

#include "net/tls.h"
#include "support/fake_tls_server.h"

namespace locki::incus {
namespace {

using namespace std::chrono_literals;

// Gives one WebSocket `size` bytes and the barrier; counts what it took.
class Output : public testing::Test {
 protected:
  Output() {
    server_.on_websocket = [this](const test::HttpRequest&, test::WsPeer& socket) {
      const std::string piece(64 << 10, 'x');
      while (sent_ < kSize && socket.send(test::WsPeer::kBinary, piece)) sent_ += piece.size();
      socket.send(test::WsPeer::kText, "");
      while (socket.receive()) {
      }
    };
  }
  ~Output() override { server_.stop(); }

  // Pumps into a pipe that is read only after `stall`; returns what was taken from the server until then.
  std::size_t taken_during(std::chrono::milliseconds stall, std::chrono::milliseconds breath) {
    net::EventLoop loop;
    net::WebSocket socket(loop, *net::TlsContext::make(server_.config()));
    sys::Pipe pipe = *sys::make_pipe();
    std::optional<OutputPump> pump;
    pump.emplace(loop, socket, OutputPump::Target{.fd = pipe.write.get(), .breath = breath}, [&](OutputPump::End end, std::optional<Error>) {
      end_ = end;
      loop.stop();
    });
    socket.open(*server_.connector()(), "/", [&](Result<> opened) {
      ASSERT_TRUE(opened) << opened.error().describe();
      ASSERT_TRUE(pump->start());
    });
    std::size_t taken = 0;
    std::thread reader([&] {
      std::this_thread::sleep_for(stall);
      taken = sent_;
      Bytes chunk(1 << 20);
      while (true) {
        const auto got = sys::read_some(pipe.read.get(), chunk.data(), chunk.size());
        if (!got || *got == 0) break;
        delivered_ += *got;
      }
    });
    loop.run();
    pump.reset();
    pipe.write.reset();
    reader.join();
    return taken;
  }

  static constexpr std::size_t kSize = 8 << 20;
  test::FakeTlsServer server_;
  std::atomic<std::size_t> sent_ = 0;
  std::size_t delivered_ = 0;
  std::optional<OutputPump::End> end_;
};

TEST_F(Output, AStalledReaderStopsTheReading) {
  EXPECT_LT(taken_during(500ms, OutputPump::kBreath), 3u << 20);
  EXPECT_EQ(delivered_, kSize);
  EXPECT_EQ(end_, OutputPump::End::kComplete);
}

TEST_F(Output, ButNotForSoLongThatTheConnectionDies) {
  EXPECT_EQ(taken_during(3000ms, 1ms), kSize);  // a breath at a time it is all taken in, and nothing is lost
  EXPECT_EQ(delivered_, kSize);
  EXPECT_EQ(end_, OutputPump::End::kComplete);
}

}  // namespace
}  // namespace locki::incus
