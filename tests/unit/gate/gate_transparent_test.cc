// Clients that believe they talk to the server, several of them, and a user who is asked.
#include "unit/gate/hello.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Event = AuditRecord::Event;

class GateTransparent : public GateTest {};

const std::string kAccessDenied = "\x15\x03\x03\0\2\2\x31"s;

TEST_F(GateTransparent, TlsGoesToItsServerNameByteForByte) {
  Server server(echo);
  service("model", server.port());
  start();
  Peer peer = Peer::connect(transparent(443));
  const std::string hello = client_hello("model.locki.internal");
  peer.send(hello + "and more");
  EXPECT_EQ(peer.receive_exactly(hello.size() + 8), hello + "and more");
  EXPECT_EQ(record(Event::kOpened).host, "model.locki.internal");
}

TEST_F(GateTransparent, ARefusedHandshakeGetsAnAlertAndALine) {
  start();
  Peer peer = Peer::connect(transparent(443));
  peer.send(client_hello("evil.example"));
  EXPECT_EQ(peer.receive_all(), kAccessDenied);
  const AuditRecord seen = record(Event::kRefused);
  EXPECT_EQ(seen.host, "evil.example");
  EXPECT_EQ(seen.port, 443);
  EXPECT_EQ(seen.sandbox_id, "test-id");
  EXPECT_NE(seen.reason.find("locki net allow evil.example"), std::string::npos);
}

TEST_F(GateTransparent, WithoutAServerNameNothingPasses) {
  start();
  Peer peer = Peer::connect(transparent(443));
  peer.send(client_hello(""));
  EXPECT_EQ(peer.receive_all(), "\x15\x03\x03\0\2\2\x70"s);
  EXPECT_EQ(record(Event::kRefused).port, 443);
}

TEST_F(GateTransparent, PlainHttpGoesByItsHost) {
  Server server([](Peer& peer) {
    const std::string head = peer.receive_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\n" + head);
  });
  service("model", server.port());
  start();
  const std::uint16_t http = transparent(80);
  Peer peer = Peer::connect(http);
  peer.send("GET /x HTTP/1.1\r\nHost: model.locki.internal\r\nConnection: keep-alive\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  const std::string answer = peer.receive_all();
  EXPECT_NE(answer.find("GET /x HTTP/1.1\r\nHost: model.locki.internal\r\n"), std::string::npos) << answer;
  EXPECT_EQ(answer.find("smuggled"), std::string::npos);
  Peer other = Peer::connect(http);
  other.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_NE(other.receive_all().find("403 locki: evil.example is not on the allow list"), std::string::npos);
}

TEST_F(GateTransparent, AProtocolWithoutNamesGoesToTheHostWhoseAddressWasCalled) {
  Server server([](Peer& peer) {
    peer.send("220 welcome\r\n");
    peer.receive_all();
  });
  service("model", server.port());
  service("another", server.port());
  start();
  Peer silent = called_by_name({"another.locki.internal", "model.locki.internal"}, server.port());
  EXPECT_EQ(silent.receive_exactly(13), "220 welcome\r\n");
  EXPECT_EQ(record(Event::kOpened).host, "model.locki.internal");
}

TEST_F(GateTransparent, AnAddressThatStandsForNoHostLeadsNowhere) {
  service("model", 1);
  start();
  constexpr std::uint32_t kUnnamed = INADDR_LOOPBACK - HostTable::kAnyHost + HostTable::kFirstHost;
  std::uint16_t real = 0;
  gate->serve(listen_local(real, kUnnamed), Entrance::kTransparent, 443);
  Peer peer = Peer::connect(real, 0, kUnnamed);
  peer.send(client_hello("model.locki.internal"));
  EXPECT_EQ(peer.receive_all(), "");
  EXPECT_EQ(record(Event::kRefused).rule, "no host");
}

// A host that only another sandbox may call has its address in all of them.
TEST_F(GateTransparent, ARefusalIsToldInTheClientsOwnProtocol) {
  rules("allow db.example:1");
  start();
  Peer http = called_by_name({"db.example"}, 8080);
  http.send("GET / HTTP/1.1\r\nHost: db.example:8080\r\n\r\n");
  EXPECT_NE(http.receive_all().find("403 locki: db.example:8080 is not on the allow list"), std::string::npos);
  Peer tls = called_by_name({"db.example"}, 8081);
  tls.send(client_hello("db.example"));
  EXPECT_EQ(tls.receive_all(), kAccessDenied);
}

// That the address has decided does not buy another server name.
TEST_F(GateTransparent, ATlsClientOfANamedAddressIsCheckedToo) {
  std::mutex mutex;
  std::string leaked;
  Server upstream([&](Peer& peer) {
    peer.receive_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 fine\r\n\r\n");
    const std::string data = peer.receive_all();
    const std::lock_guard lock(mutex);
    leaked += data;
  });
  // Through an upstream proxy on localhost, because the gate itself connects to no loopback address.
  config.upstream.https = parse_upstream("http://127.0.0.1:" + std::to_string(upstream.port())).value();
  rules("allow a.example:8883");
  start();
  Peer peer = called_by_name({"a.example"}, 8883);
  EXPECT_EQ(record(Event::kOpened).host, "a.example");
  peer.send(client_hello("b.example"));
  EXPECT_EQ(peer.receive_all(), "\x15\x03\x03\0\2\2\x70"s);
  EXPECT_NE(record(Event::kRefused).reason.find("b.example"), std::string::npos);
  EXPECT_TRUE(none_open_soon());
  const std::lock_guard lock(mutex);
  EXPECT_EQ(leaked, "");
}

TEST_F(GateTransparent, AndNowhereWhenNothingNamesAHost) {
  rules("allow one.example:5432\nallow two.example:5432");
  start();
  Peer peer = Peer::connect(transparent(5432));
  peer.send("\0\0\0\x8"s);
  EXPECT_EQ(peer.receive_all(), "");
  EXPECT_NE(record(Event::kRefused).reason.find("neither TLS nor HTTP"), std::string::npos);
}

TEST_F(GateTransparent, TwoClientsHaveTwoPolicies) {
  constexpr std::uint32_t kSecond = 0x7f000041, kThird = 0x7f000081;
  Server server(echo);
  service("model", server.port());
  start();
  gate->admit(Address::v4(kSecond - HostTable::kAnyHost), {"second-id", "second", Policy{}});
  std::uint16_t second = 0, third = 0;
  gate->serve(listen_local(second, kSecond), Entrance::kTransparent, 443);
  gate->serve(listen_local(third, kThird), Entrance::kTransparent, 443);
  const std::string hello = client_hello("model.locki.internal");
  Peer allowed = Peer::connect(transparent(443)), refused = Peer::connect(second, 0, kSecond), nobody = Peer::connect(third, 0, kThird);
  allowed.send(hello);
  refused.send(hello);
  nobody.send(hello);
  EXPECT_EQ(allowed.receive_exactly(hello.size()), hello);
  EXPECT_EQ(refused.receive_all(), kAccessDenied);
  EXPECT_EQ(nobody.receive_all(), "");
  EXPECT_EQ(server.connections(), 1);
  // Each has its own share, and one that goes takes only its own along.
  Peer standing = Peer::connect(second, 0, kSecond);
  gate->dismiss(Address::v4(kSecond - HostTable::kAnyHost));
  EXPECT_EQ(standing.receive_all(), "");
  allowed.send("still here");
  EXPECT_EQ(allowed.receive_exactly(10), "still here");
}

TEST_F(GateTransparent, OneClientCannotUseUpAnothersConnections) {
  constexpr std::uint32_t kSecond = 0x7f000041;
  config.limits.connections_per_client = 2;
  start();
  gate->admit(Address::v4(kSecond - HostTable::kAnyHost), {"second-id", "second", Policy{}});
  std::uint16_t second = 0;
  gate->serve(listen_local(second, kSecond), Entrance::kExplicit, 3128);
  std::vector<Peer> held;
  for (int i = 0; i < 4; ++i) held.push_back(client());
  Peer other = Peer::connect(second, 0, kSecond);
  other.send("CONNECT a.example:443 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(other.receive_all().starts_with("HTTP/1.1 403 "));
}

TEST_F(GateTransparent, AllTogetherHaveALimitToo) {
  config.limits.connections = 3;
  start();
  std::vector<Peer> held;
  for (int i = 0; i < 3; ++i) held.push_back(client());
  EXPECT_TRUE(client().receive_all().starts_with("HTTP/1.1 503 "));
  held.clear();
  EXPECT_TRUE(none_open_soon());
  EXPECT_TRUE(ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
}

TEST_F(GateTransparent, SocksOnThePortOfTheProxy) {
  Server server(echo);
  service("model", server.port());
  start();
  const std::string name = "model.locki.internal";
  Peer peer = client();
  peer.send("\5\1\0"s);
  EXPECT_EQ(peer.receive_exactly(2), "\5\0"s);
  peer.send("\5\1\0\3"s + static_cast<char>(name.size()) + name + "\1\xbb"s);
  EXPECT_EQ(peer.receive_exactly(10), "\5\0\0\1\0\0\0\0\0\0"s);
  peer.send("hello");
  EXPECT_EQ(peer.receive_exactly(5), "hello");
  // All at once, and refused.
  Peer eager = client();
  eager.send("\5\1\0\5\1\0\3\x0c" "evil.example\1\xbb"s);
  EXPECT_EQ(eager.receive_all(), "\5\0\5\2\0\1\0\0\0\0\0\0"s);
}

class GateAsk : public GateTest {
 protected:
  void begin(std::chrono::milliseconds time) {
    policy.mode = Mode::kAsk;
    policy.ask_time = time;
    resolver->names = {{"new.example", {"127.0.0.1"}}};
    start();
  }
  bool asked(std::size_t count) {
    for (int i = 0; i < 1000 && gate->questions().size() != count; ++i) std::this_thread::sleep_for(5ms);
    return gate->questions().size() == count;
  }
};

TEST_F(GateAsk, HoldsUntilARuleDecides) {
  begin(20s);
  const std::uint16_t tls = transparent(443);
  Peer one = Peer::connect(tls), two = Peer::connect(tls), other = Peer::connect(tls);
  one.send(client_hello("new.example"));
  two.send(client_hello("new.example"));
  other.send(client_hello("other.example"));
  ASSERT_TRUE(asked(2));
  EXPECT_EQ(gate->questions()[0].client_id, "test-id");
  // A yes: it goes on, to an address that no rule can make reachable, which the next refusal shows.
  policy.rules = parse_rules("allow new.example\ndeny other.example", "").value();
  update(policy);
  EXPECT_EQ(other.receive_all(), kAccessDenied);
  EXPECT_EQ(one.receive_all(), kAccessDenied);
  EXPECT_EQ(two.receive_all(), kAccessDenied);
  EXPECT_TRUE(asked(0));
  EXPECT_EQ(record(Event::kAsked).sandbox, "test");
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateAsk, NobodyAnswersMeansNo) {
  begin(100ms);
  Peer peer = client();
  peer.send("CONNECT new.example:443 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(peer.receive_all().starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(asked(0));
}

TEST_F(GateAsk, AClientThatGoesTakesItsQuestionsAlong) {
  begin(20s);
  Peer peer = client();
  peer.send("CONNECT new.example:443 HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(asked(1));
  gate->dismiss(Address::v4(INADDR_LOOPBACK - HostTable::kAnyHost));
  EXPECT_TRUE(asked(0));
  EXPECT_TRUE(none_open_soon());
}

}  // namespace
}  // namespace locki::gate
