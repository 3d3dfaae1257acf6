// Large streams go through pipes of the kernel. They arrive whole and in order, a pipe is held only while bytes wait in it, and no connection sees
// what another one left behind.
#include <filesystem>
#include <random>

#include "gate/splice_pipe.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr std::size_t kSize = 24 << 20;

// Bytes at a position of a stream: every place looks different, and so does every stream.
char byte_at(std::size_t position, unsigned stream) {
  const std::uint64_t mixed = (position + stream * 0x9E3779B97F4A7C15ULL) * 0xBF58476D1CE4E5B9ULL;
  return static_cast<char>(mixed >> 56);
}

bool send_stream(Peer& peer, unsigned stream, std::size_t size, std::atomic<std::size_t>* sent = nullptr) {
  std::mt19937 random(stream);
  for (std::size_t at = 0; at < size;) {
    // Words and blocks, mixed: the relay changes between copying and splicing in the middle.
    const std::size_t most = random() % 4 == 0 ? 600'000 : 3000;
    std::string block(std::min(size - at, 1 + random() % most), '\0');
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = byte_at(at + i, stream);
    if (!peer.send(block)) return false;
    at += block.size();
    if (sent != nullptr) *sent += block.size();
  }
  return true;
}

// How many bytes came that are the stream's, until the first that is not or the end.
std::size_t receive_stream(Peer& peer, unsigned stream) {
  std::size_t at = 0;
  for (std::string part = peer.receive(1 << 18); !part.empty(); part = peer.receive(1 << 18))
    for (const char each : part)
      if (each != byte_at(at++, stream)) return at - 1;
  return at;
}

// Ends of pipes that this process has open.
std::size_t pipe_ends() {
  std::size_t count = 0;
  std::error_code gone;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    if (std::filesystem::read_symlink(each.path(), gone).string().starts_with("pipe:")) ++count;
  return count;
}

class GateSplice : public GateTest {};

TEST_F(GateSplice, StreamsOfRandomSizesBothWaysAtOnce) {
  std::atomic<std::size_t> arrived{0};
  Server server([&](Peer& peer) {
    std::thread reader([&] { arrived = receive_stream(peer, 1); });
    send_stream(peer, 2, kSize);
    peer.end();
    reader.join();
  });
  service("model", server.port());
  start();
  Peer peer = tunnel("model.locki.internal:443");
  std::thread writer([&] {
    send_stream(peer, 1, kSize);
    peer.end();
  });
  EXPECT_EQ(receive_stream(peer, 2), kSize);
  writer.join();
  const AuditRecord closed = record(AuditRecord::Event::kClosed);
  EXPECT_EQ(closed.bytes_out, kSize);
  EXPECT_EQ(closed.bytes_in, kSize);
  EXPECT_TRUE(soon([&] { return arrived == kSize; })) << arrived;
}

// A plain upload is spliced up to its last byte, and not one further. With chunks it is in pieces, each of which is.
TEST_F(GateSplice, AnUploadEndsWhereItsHeadSays) {
  std::atomic<std::size_t> arrived{0}, behind{0};
  Server server([&](Peer& peer) {
    const std::string head = peer.receive_until("\r\n\r\n");
    const bool chunked = head.find("chunked") != std::string::npos;
    std::size_t at = 0, left = chunked ? 0 : kSize;
    while (at < kSize) {
      if (left == 0) {
        const std::string line = peer.receive_until("\n");
        if (line.empty()) break;
        left = std::stoul(line, nullptr, 16);
      }
      const std::string part = peer.receive(std::min<std::size_t>(left, 1 << 18));
      if (part.empty()) break;
      for (const char each : part)
        if (each != byte_at(at++, 7)) return;
      left -= part.size();
      if (chunked && left == 0) peer.receive_exactly(2);
    }
    arrived += at;
    if (chunked) {
      EXPECT_EQ(peer.receive_until("\r\n\r\n"), "0\r\n\r\n");
    }
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    peer.end();
    behind += peer.receive_all().size();
  });
  service("model", server.port());
  start();
  const std::string post = "POST http://model.locki.internal/ HTTP/1.1\r\n", smuggled = "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n";
  Peer plain = client();
  plain.send(post + "Content-Length: " + std::to_string(kSize) + "\r\n\r\n");
  ASSERT_TRUE(send_stream(plain, 7, kSize));
  plain.send(smuggled);
  EXPECT_TRUE(plain.receive_all().ends_with("ok"));
  Peer chunked = client();
  chunked.send(post + "Transfer-Encoding: chunked\r\n\r\n");
  for (std::size_t at = 0; at < kSize;) {
    const std::size_t size = std::min<std::size_t>(kSize - at, at % 3 == 0 ? 700'001 : 5);
    std::string chunk(size, '\0');
    for (std::size_t i = 0; i < size; ++i) chunk[i] = byte_at(at + i, 7);
    char head[32];
    std::snprintf(head, sizeof head, "%zx\r\n", size);
    ASSERT_TRUE(chunked.send(head + chunk + "\r\n"));
    at += size;
  }
  chunked.send("0\r\n\r\n" + smuggled);
  EXPECT_TRUE(chunked.receive_all().ends_with("ok"));
  plain.close();
  chunked.close();
  EXPECT_TRUE(none_open_soon());
  EXPECT_EQ(arrived, 2 * kSize);
  EXPECT_EQ(behind, 0u);
}

TEST_F(GateSplice, ASlowServerHoldsTheClientBackAndLosesNothing) {
  std::atomic<bool> go{false};
  std::atomic<std::size_t> arrived{0}, sent{0};
  Server server([&](Peer& peer) {
    while (!go) std::this_thread::sleep_for(1ms);
    arrived = receive_stream(peer, 1);
    peer.end();
  });
  service("model", server.port());
  start();
  Peer peer = tunnel("model.locki.internal:443");
  std::thread writer([&] {
    send_stream(peer, 1, 96 << 20, &sent);
    peer.end();
  });
  std::this_thread::sleep_for(400ms);
  EXPECT_LT(sent, 80u << 20);
  go = true;
  writer.join();
  EXPECT_EQ(peer.receive_all(), "");
  EXPECT_FALSE(peer.broken());
  EXPECT_TRUE(soon([&] { return arrived == 96u << 20; })) << arrived;
}

TEST_F(GateSplice, APipeIsHeldOnlyWhileBytesWaitInIt) {
  Server server([](Peer& peer) {
    send_stream(peer, 3, kSize);
    peer.receive_all();
  });
  service("model", server.port());
  start();
  const std::size_t before = pipe_ends();
  Peer peer = client(32 << 10);
  peer.send("CONNECT model.locki.internal:443 HTTP/1.1\r\n\r\n");
  peer.receive_until("\r\n\r\n");
  EXPECT_TRUE(soon([&] { return pipe_ends() == before + 2; })) << pipe_ends() - before;
  std::size_t at = 0;
  while (at < kSize) {
    const std::string part = peer.receive();
    ASSERT_FALSE(part.empty());
    at += part.size();
  }
  // The connection stands, with nothing on the way.
  EXPECT_TRUE(soon([&] { return pipe_ends() <= before + 2 * PipePool::kSpare; }));
  EXPECT_EQ(gate->stats().open, 1u);
}

TEST_F(GateSplice, AfterAnAbortWithFullPipesTheNextConnectionSeesOnlyItsOwn) {
  std::atomic<unsigned> next{10};
  Server server([&](Peer& peer) {
    const unsigned stream = next++;
    peer.send(std::string(1, static_cast<char>(stream)));
    send_stream(peer, stream, 16 << 20);
    peer.end();
    peer.receive_all();
  });
  service("model", server.port());
  start();
  for (int round = 0; round < 3; ++round) {
    std::vector<Peer> stalled;
    const std::size_t before = pipe_ends();
    for (int i = 0; i < 12; ++i) stalled.push_back(tunnel("model.locki.internal:443"));
    ASSERT_TRUE(soon([&] { return pipe_ends() > before + 2; }));
    if (round == 1) update(Policy{});  // the gate breaks them off, not the clients
    stalled.clear();
    EXPECT_TRUE(none_open_soon());
    update(policy);
    for (int i = 0; i < 4; ++i) {
      Peer peer = tunnel("model.locki.internal:443");
      const std::string stream = peer.receive(1);
      ASSERT_EQ(stream.size(), 1u);
      ASSERT_EQ(receive_stream(peer, static_cast<unsigned char>(stream[0])), 16u << 20);
    }
  }
}

TEST_F(GateSplice, MoreStalledStreamsThanPipesAllArrive) {
  constexpr std::size_t kEach = 6 << 20;
  constexpr int kStreams = static_cast<int>(PipePool::kMost) + 10;
  Server server([](Peer& peer) {
    send_stream(peer, 5, kEach);
    peer.end();
    peer.receive_all();
  });
  service("model", server.port());
  start();
  std::vector<Peer> peers;
  const std::size_t before = pipe_ends();
  for (int i = 0; i < kStreams; ++i) {
    peers.push_back(client(16 << 10));
    peers.back().send("CONNECT model.locki.internal:443 HTTP/1.1\r\n\r\n");
    peers.back().receive_until("\r\n\r\n");
  }
  // One client's share, which is half: another one finds pipes.
  (void)soon([&] { return pipe_ends() == before + PipePool::kMost; });
  EXPECT_GE(pipe_ends(), before + PipePool::kMost / 2);
  EXPECT_LE(pipe_ends(), before + PipePool::kMost);
  for (Peer& peer : peers) ASSERT_EQ(receive_stream(peer, 5), kEach);
}

}  // namespace
}  // namespace locki::gate
