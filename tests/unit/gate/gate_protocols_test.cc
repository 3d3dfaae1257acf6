// Protocols that live longer than a request and its answer: WebSockets, event streams, HTTP/2.
#include "unit/gate/hello.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using Event = AuditRecord::Event;

class GateProtocols : public GateTest {
 protected:
  // Handshakes have little time, so that what outlives it is seen to.
  void begin(std::uint16_t at) {
    config.limits.head_time = 150ms;
    service("site", at);
    start();
  }
};

const std::string kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: site.locki.internal\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n";
const std::string kSwitched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

TEST_F(GateProtocols, AWebSocketStaysOpenBothWays) {
  Server server([](Peer& peer) {
    const std::string head = peer.receive_until("\r\n\r\n");
    EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos) << head;
    EXPECT_NE(head.find("Connection: Upgrade\r\n"), std::string::npos) << head;
    peer.send(kSwitched + "first");  // a server may speak at once
    echo(peer);
  });
  begin(server.port());
  Peer peer = Peer::connect(transparent(80));
  peer.send(kUpgrade);
  EXPECT_EQ(peer.receive_exactly(kSwitched.size() + 5), kSwitched + "first");
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(200ms);
    peer.send("ping");
    EXPECT_EQ(peer.receive_exactly(4), "ping");
  }
  peer.end();
  EXPECT_EQ(peer.receive_all(), "");
  const AuditRecord closed = record(Event::kClosed);
  EXPECT_EQ(closed.bytes_in, kSwitched.size() + 5 + 12);
  EXPECT_GT(closed.bytes_out, 12u);
}

TEST_F(GateProtocols, WhatComesBehindAnUpgradeWaitsForTheServersWord) {
  std::atomic<bool> early{false};
  Server server([&](Peer& peer) {
    std::string head = peer.receive_until("\r\n\r\n");
    pollfd more{.fd = peer.fd(), .events = POLLIN, .revents = 0};
    early = ::poll(&more, 1, 100) != 0;
    peer.send(kSwitched);
    echo(peer);
  });
  begin(server.port());
  Peer peer = client();
  peer.send("GET http://site.locki.internal/chat" + kUpgrade.substr(9) + "hasty");
  EXPECT_EQ(peer.receive_exactly(kSwitched.size() + 5), kSwitched + "hasty");
  EXPECT_FALSE(early);
}

TEST_F(GateProtocols, AServerThatStaysWithHttpSeesOneRequestOnly) {
  std::atomic<std::size_t> behind{0};
  Server server([&](Peer& peer) {
    peer.receive_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    peer.end();
    behind = peer.receive_all().size();
  });
  begin(server.port());
  Peer peer = Peer::connect(transparent(80));
  peer.send(kUpgrade + "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_TRUE(peer.receive_all().ends_with("\r\n\r\nno"));
  peer.close();
  EXPECT_TRUE(none_open_soon());
  EXPECT_EQ(behind, 0u);
}

TEST_F(GateProtocols, AServerThatNeverAnswersAnUpgrade) {
  Server server([](Peer& peer) { peer.receive_all(); });
  begin(server.port());
  Peer peer = Peer::connect(transparent(80));
  peer.send(kUpgrade);
  EXPECT_TRUE(peer.receive_all().starts_with("HTTP/1.1 504 "));
  EXPECT_EQ(record(Event::kFailed).host, "site.locki.internal");
}

TEST_F(GateProtocols, AServerThatAnswersAnUpgradeWithSomethingElse) {
  Server server([](Peer& peer) {
    peer.receive_until("\r\n\r\n");
    peer.send("SSH-2.0-x\r\n\r\n");
    peer.receive_all();
  });
  begin(server.port());
  Peer peer = Peer::connect(transparent(80));
  peer.send(kUpgrade);
  EXPECT_TRUE(peer.receive_all().starts_with("HTTP/1.1 502 "));
}

TEST_F(GateProtocols, ALongHeadIsOfferedWhole) {
  const std::string cookie(20 << 10, 'c');
  Server server([&](Peer& peer) {
    const std::string head = peer.receive_until("\r\n\r\n");
    peer.send(head.find("Cookie: " + cookie) != std::string::npos ? kSwitched : "HTTP/1.1 400 Bad\r\n\r\n");
    peer.end();
  });
  begin(server.port());
  Peer peer = Peer::connect(transparent(80));
  peer.send(kUpgrade.substr(0, kUpgrade.size() - 2) + "Cookie: " + cookie + "\r\n\r\n");
  EXPECT_EQ(peer.receive_exactly(kSwitched.size()), kSwitched);
}

TEST_F(GateProtocols, EventsComeForAsLongAsTheServerHasSome) {
  Server server([](Peer& peer) {
    if (peer.receive(1) == "G") {
      peer.receive_until("\r\n\r\n");
      peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    }
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(250ms);
      peer.send("data: " + std::to_string(i) + "\n\n");
    }
    peer.end();
  });
  begin(server.port());
  Peer plain = Peer::connect(transparent(80)), tls = Peer::connect(transparent(443));
  plain.send("GET /events HTTP/1.1\r\nHost: site.locki.internal\r\nAccept: text/event-stream\r\n\r\n");
  tls.send(client_hello("site.locki.internal"));
  EXPECT_TRUE(plain.receive_all().ends_with("data: 0\n\ndata: 1\n\ndata: 2\n\n"));
  EXPECT_EQ(tls.receive_all(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

// Post-quantum key shares make hellos longer than a segment; HTTP/2 is offered in one, ECH hides in one with a name that it shows to everybody.
TEST_F(GateProtocols, AHelloOfTodayInManySegments) {
  Server server(echo);
  begin(server.port());
  const std::string alpn = number(16, 2) + vec(vec(vec("h2", 1) + vec("http/1.1", 1), 2), 2);
  const std::string grease = number(0x3a3a, 2) + vec("", 2), key_share = number(0x0033, 2) + vec(std::string(1260, 'k'), 2);
  const std::string ech = number(0xfe0d, 2) + vec(std::string(300, 'e'), 2);
  const std::string message = client_hello_message(grease + alpn + key_share + server_name_extension("site.locki.internal") + ech + grease);
  for (const std::size_t fragment : {std::size_t{1} << 14, std::size_t{500}}) {
    const std::string hello = records(message, fragment);
    ASSERT_GT(hello.size(), 1460u);
    Peer peer = Peer::connect(transparent(443));
    for (std::size_t at = 0; at < hello.size(); at += 300) {
      peer.send(hello.substr(at, 300));
      std::this_thread::sleep_for(2ms);
    }
    EXPECT_EQ(peer.receive_exactly(hello.size()), hello);
  }
}

// Without TLS, HTTP/2 could name another host in each of its requests.
TEST_F(GateProtocols, PlainHttp2IsRefused) {
  Server server(echo);
  begin(server.port());
  Peer peer = Peer::connect(transparent(80));
  peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_TRUE(peer.receive_all().starts_with("HTTP/1.1 505 "));
  EXPECT_EQ(server.connections(), 0);
}

}  // namespace
}  // namespace locki::gate
