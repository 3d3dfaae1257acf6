// What the gate lets through arrives whole, in both directions, whatever the peers do. Servers are reached as services.
#include <cstring>

#include "sys/file.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using Event = AuditRecord::Event;

class GateRelay : public GateTest {};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

TEST_F(GateRelay, ATunnelEchoesAndHalfCloses) {
  Server server(echo);
  service("model", server.port());
  start();
  Peer peer = tunnel("model.locki.internal:443");
  peer.send("hello");
  EXPECT_EQ(peer.receive_exactly(5), "hello");
  peer.send("last words");
  peer.end();
  EXPECT_EQ(peer.receive_all(), "last words");
  EXPECT_FALSE(peer.broken());
  const AuditRecord closed = record(Event::kClosed);
  EXPECT_EQ(closed.bytes_out, 15u);
  EXPECT_EQ(closed.bytes_in, 15u);
  EXPECT_EQ(closed.address, "127.0.0.1");
  EXPECT_EQ(closed.connection, record(Event::kOpened).connection);
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateRelay, WhatComesRightBehindTheConnectIsNotLost) {
  Server server(echo);
  service("model", server.port());
  start();
  Peer peer = client();
  peer.send("CONNECT model.locki.internal:1 HTTP/1.1\r\n\r\nearly");
  EXPECT_TRUE(peer.receive_until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(peer.receive_exactly(5), "early");
}

TEST_F(GateRelay, TheServersEndLeavesTheClientsSideOpen) {
  std::atomic<bool> heard{false};
  Server server([&](Peer& peer) {
    peer.send("bye");
    peer.end();
    heard = peer.receive_all() == "still here";
  });
  service("model", server.port());
  start();
  Peer peer = tunnel("model.locki.internal:443");
  EXPECT_EQ(peer.receive_all(), "bye");
  peer.send("still here");
  peer.end();
  EXPECT_TRUE(none_open_soon());
  for (int i = 0; i < 200 && !heard; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(heard);
}

TEST_F(GateRelay, PlainHttpIsRewrittenAndOnlyOneRequestPasses) {
  std::string seen;
  std::mutex mutex;
  Server server([&](Peer& peer) {
    std::string got = peer.receive_until("\r\n\r\n");
    got += peer.receive_exactly(5);
    peer.send(kOk);
    peer.end();
    got += peer.receive_all();
    const std::lock_guard lock(mutex);
    seen = got;
  });
  service("model", server.port());
  start();
  const std::string answer =
      ask("POST http://model.locki.internal/v1?x HTTP/1.1\r\nHost: other\r\nProxy-Connection: "
          "keep-alive\r\nContent-Length: 5\r\n\r\nhello"
          "GET http://model.locki.internal/smuggled HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer, kOk);
  EXPECT_TRUE(none_open_soon());
  for (int i = 0; i < 200; ++i) {
    std::this_thread::sleep_for(5ms);
    const std::lock_guard lock(mutex);
    if (!seen.empty()) break;
  }
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen,
            "POST /v1?x HTTP/1.1\r\nHost: model.locki.internal\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
}

TEST_F(GateRelay, AChunkedUploadAndALongAnswerToAPipeliningClient) {
  const std::string body(3 << 20, 'z');
  Server server([&](Peer& peer) {
    peer.receive_until("0\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    peer.send(body);
  });
  service("model", server.port());
  start();
  // The second request stays unread; that must not reset the connection before the answer's tail is out.
  const std::string answer =
      ask("POST http://model.locki.internal/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
          "GET http://model.locki.internal/2 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer.size(), body.size() + 38);
}

TEST_F(GateRelay, ABrokenUploadClosesWithoutAnAnswer) {
  Server server([](Peer& peer) { peer.receive_all(); });
  service("model", server.port());
  start();
  EXPECT_EQ(ask("POST http://model.locki.internal/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"), "");
  EXPECT_NE(record(Event::kRefused).reason.find("chunks"), std::string::npos);
}

TEST_F(GateRelay, ASlowReaderGetsEveryByteAndTheGateKeepsLittle) {
  // Several times what a host lets one socket's buffer grow to.
  constexpr std::size_t kSize = 128 << 20;
  std::atomic<std::size_t> sent{0};
  Server server([&](Peer& peer) {
    std::string block(1 << 16, '\0');
    std::uint32_t counter = 0;
    for (std::size_t at = 0; at < kSize; at += block.size()) {
      for (std::size_t i = 0; i < block.size(); i += 4) std::memcpy(&block[i], &counter, 4), ++counter;
      if (!peer.send(block)) return;
      sent += block.size();
    }
    peer.end();
    peer.receive_all();
  });
  service("model", server.port());
  start();
  Peer peer = client(32 << 10);
  peer.send("CONNECT model.locki.internal:443 HTTP/1.1\r\n\r\n");
  peer.receive_until("\r\n\r\n");
  std::this_thread::sleep_for(400ms);
  // Nobody reads: the server stands still once the sockets' buffers and one read of the gate are full.
  EXPECT_LT(sent.load(), kSize / 2);
  std::string all;
  all.reserve(kSize);
  for (std::string part = peer.receive(); !part.empty(); part = peer.receive()) all += part;
  ASSERT_EQ(all.size(), kSize);
  std::uint32_t value = 0;
  for (std::uint32_t i = 0; i < kSize / 4; i += 997) {
    std::memcpy(&value, &all[i * 4], 4);
    ASSERT_EQ(value, i);
  }
}

TEST_F(GateRelay, ABrokenServerIsAResetNotAnEnd) {
  Server server([](Peer& peer) {
    peer.send("half of it");
    peer.receive(1);
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  });
  service("model", server.port());
  start();
  Peer peer = tunnel("model.locki.internal:443");
  EXPECT_EQ(peer.receive_exactly(10), "half of it");
  peer.send("x");
  EXPECT_EQ(peer.receive_all(), "");
  EXPECT_TRUE(peer.broken());
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateRelay, AClientThatDisappearsLeavesNothingBehind) {
  Server server([](Peer& peer) {
    while (peer.send(std::string(1 << 16, 'x'))) {
    }
  });
  service("model", server.port());
  start();
  {
    Peer peer = tunnel("model.locki.internal:443");
    peer.receive_exactly(100'000);
  }
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateRelay, IdleTunnelsEnd) {
  Server server([](Peer& peer) { peer.receive_all(); });
  service("model", server.port());
  config.limits.idle_time = 100ms;
  start();
  Peer peer = tunnel("model.locki.internal:443");
  EXPECT_EQ(peer.receive_all(), "");
  EXPECT_NE(record(Event::kClosed).reason.find("idle"), std::string::npos);
}

TEST_F(GateRelay, TwoHundredTunnelsAtOnce) {
  Server server(echo);
  service("model", server.port());
  start();
  std::vector<Peer> peers;
  for (int i = 0; i < 200; ++i) peers.push_back(tunnel("model.locki.internal:443"));
  for (std::size_t i = 0; i < peers.size(); ++i) peers[i].send("this is " + std::to_string(1000 + i));
  for (std::size_t i = 0; i < peers.size(); ++i)
    ASSERT_EQ(peers[i].receive_exactly(12), "this is " + std::to_string(1000 + i));
  EXPECT_EQ(gate->stats().open, 200u);
  peers.clear();
  EXPECT_TRUE(none_open_soon());
  EXPECT_EQ(gate->stats().allowed, 200u);
}

TEST_F(GateRelay, ANewPolicyActsAtOnceAndOnStandingTunnels) {
  Server server(echo);
  service("model", server.port());
  service("other", server.port());
  start();
  Peer stays = tunnel("other.locki.internal:443"), goes = tunnel("model.locki.internal:443");
  Policy without = policy;
  without.services.erase(without.services.begin());
  update(without);
  EXPECT_EQ(goes.receive_all(), "");
  EXPECT_TRUE(ask("CONNECT model.locki.internal:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
  stays.send("hello");
  EXPECT_EQ(stays.receive_exactly(5), "hello");
  update(policy);
  Peer again = tunnel("model.locki.internal:443");
  again.send("hello");
  EXPECT_EQ(again.receive_exactly(5), "hello");
}

TEST_F(GateRelay, AListenerThatGoesTakesItsConnectionsAlong) {
  Server server(echo);
  service("model", server.port());
  start();
  Peer peer = tunnel("model.locki.internal:443");
  std::uint16_t second_port = 0;
  gate->serve(listen_local(second_port), Entrance::kExplicit, 3128);
  gate->stop_serving(listener);
  EXPECT_EQ(peer.receive_all(), "");
  Peer other = Peer::connect(second_port);
  other.send("CONNECT x.example:443 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(other.receive_all().starts_with("HTTP/1.1 403 "));
}

TEST_F(GateRelay, TheGateMayGoWithEverythingStillRunning) {
  Server server(echo);
  service("model", server.port());
  resolver->hang = true;
  rules("allow .example");
  start();
  Peer tunnelled = tunnel("model.locki.internal:443"), resolving = client(), silent = client();
  resolving.send("CONNECT a.example:443 HTTP/1.1\r\n\r\n");
  gate.reset();
  EXPECT_EQ(tunnelled.receive_all(), "");
  EXPECT_EQ(record(Event::kClosed).host, "model.locki.internal");
}

TEST_F(GateRelay, TheLogIsJsonLinesAndPrivate) {
  auto directory = sys::TemporaryDirectory::make(std::filesystem::temp_directory_path(), "gate").value();
  config.log_path = directory.path() / "net.log";
  start();
  ask("CONNECT evil.example:443 HTTP/1.1\r\n\r\n");
  record(Event::kRefused);
  gate.reset();
  const std::string text = sys::read_file(config.log_path).value();
  EXPECT_NE(text.find(R"("event":"refused")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("host":"evil.example","port":443)"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("}\n"));
  EXPECT_EQ(std::filesystem::status(config.log_path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

}  // namespace
}  // namespace locki::gate
