// What the gate must not let through, seen from a client.
#include "unit/gate/hello.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using Event = AuditRecord::Event;

class GateRefusal : public GateTest {};

TEST_F(GateRefusal, AHostThatNobodyAllowed) {
  start();
  const std::string answer = ask("CONNECT Evil.example:443 HTTP/1.1\r\n\r\n");
  const std::string sentence =
      "locki: evil.example is not on the allow list; the user can allow it on the host with: locki net allow "
      "evil.example";
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 " + sentence + "\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + sentence + "\n")) << answer;
  const AuditRecord seen = record(Event::kRefused);
  EXPECT_EQ(seen.host, "evil.example");
  EXPECT_EQ(seen.port, 443);
  EXPECT_EQ(seen.rule, "no rule");
  EXPECT_EQ(seen.sandbox, "test");
  EXPECT_NE(ask("GET http://evil.example:8080/ HTTP/1.1\r\n\r\n").find("locki net allow evil.example:8080"),
            std::string::npos);
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateRefusal, ANameThatResolvesToAForbiddenAddress) {
  Server bait([](Peer&) {});
  rules("allow .example:*");
  resolver->names = {{"a.example", {"127.0.0.1"}},
                     {"b.example", {"10.0.0.1", "::1"}},
                     {"c.example", {"::ffff:169.254.169.254"}},
                     {"d.example", {"2002:7f00:1::1"}},
                     {"e.example", {"64:ff9b::7f00:1"}}};
  start();
  for (const char* host : {"a.example", "b.example", "c.example", "d.example", "e.example"}) {
    const std::string answer =
        ask("CONNECT " + std::string(host) + ":" + std::to_string(bait.port()) + " HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 ")) << answer;
    EXPECT_NE(answer.find("can never be reached"), std::string::npos) << answer;
  }
  EXPECT_EQ(record(Event::kRefused).address, "127.0.0.1");
  EXPECT_EQ(bait.connections(), 0);
}

TEST_F(GateRefusal, AddressLiterals) {
  Server bait([](Peer&) {});
  const std::string port_text = std::to_string(bait.port());
  rules("allow 127.0.0.1:*\nallow [::1]:*");
  start();
  for (const std::string target : {"127.0.0.1:", "[::1]:", "10.0.0.1:", "169.254.169.254:"})
    EXPECT_TRUE(ask("CONNECT " + target + port_text + " HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 ")) << target;
  for (const std::string target : {"127.1:", "0x7f000001:", "2130706433:", "[::ffff:127.0.0.1%lo]:", "localhost.:"})
    EXPECT_TRUE(ask("CONNECT " + target + port_text + " HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 ")) << target;
  EXPECT_TRUE(ask("CONNECT localhost:" + port_text + " HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
  EXPECT_EQ(bait.connections(), 0);
}

TEST_F(GateRefusal, ModeOffAndUnknownServices) {
  Server server(echo);
  service("model", server.port());
  start();
  EXPECT_TRUE(ask("CONNECT other.locki.internal:80 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
  policy.mode = Mode::kOff;
  update(policy);
  EXPECT_NE(ask("CONNECT model.locki.internal:80 HTTP/1.1\r\n\r\n").find("switched off"), std::string::npos);
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(GateRefusal, WhatCannotBeResolvedOrConnected) {
  rules("allow .example");
  resolver->names = {{"void.example", {"192.0.2.1"}}, {"empty.example", {}}};
  config.limits.connect_time = 300ms;
  start();
  EXPECT_TRUE(ask("CONNECT unknown.example:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 502 "));
  EXPECT_TRUE(ask("CONNECT empty.example:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 502 "));
  // 192.0.2.1 is passed by the address rules; whether the network says so at once or never, the client hears about it.
  const std::string answer = ask("CONNECT void.example:443 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 ") || answer.starts_with("HTTP/1.1 504 ")) << answer;
  EXPECT_EQ(record(Event::kFailed).host, "unknown.example");
}

TEST_F(GateRefusal, AResolverThatHangsIsATimeout) {
  rules("allow .example");
  resolver->hang = true;
  config.limits.resolve_time = 50ms;
  start();
  EXPECT_TRUE(ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 504 "));
}

TEST_F(GateRefusal, ASlowHeadRunsIntoItsDeadline) {
  config.limits.head_time = 200ms;
  start();
  Peer peer = client();
  for (int i = 0; i < 5; ++i) {
    peer.send("C");
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(peer.receive_all().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateRefusal, AHeadThatIsTooLong) {
  start();
  Peer peer = client();
  peer.send("GET http://a.example/ HTTP/1.1\r\n");
  std::string answer;
  for (int i = 0; i < 40 && answer.empty(); ++i) {
    peer.send("X-" + std::string(1000, 'a') + ": b\r\n");
    pollfd ready{.fd = peer.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 5) > 0) answer = peer.receive();
  }
  if (answer.empty()) answer = peer.receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 ")) << answer;
}

TEST_F(GateRefusal, MoreConnectionsThanAClientMayHave) {
  config.limits.connections_per_client = 3;
  start();
  std::vector<Peer> held;
  for (int i = 0; i < 3; ++i) held.push_back(client());
  Peer fourth = client();
  EXPECT_TRUE(fourth.receive_all().starts_with("HTTP/1.1 503 "));
  held.clear();
  EXPECT_TRUE(none_open_soon());
  EXPECT_TRUE(ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
}

// Through an upstream proxy on localhost, because the gate itself connects to no loopback address.
class GateSni : public GateTest {
 protected:
  void SetUp() override {
    upstream_server = std::make_unique<Server>([this](Peer& peer) {
      {
        const std::string head = peer.receive_until("\r\n\r\n");
        const std::lock_guard lock(mutex);
        upstream_heads += head;
      }
      peer.send(proxy_answer);
      const std::string data = peer.receive();
      const std::lock_guard lock(mutex);
      leaked += data;
      peer.send("pong");
    });
    config.upstream.https =
        parse_upstream("http://user:pw@127.0.0.1:" + std::to_string(upstream_server->port())).value();
    rules("allow .example:*");
    start();
  }
  std::string seen(std::string& what) {
    const std::lock_guard lock(mutex);
    return what;
  }
  std::mutex mutex;
  std::string upstream_heads, leaked, proxy_answer = "HTTP/1.1 200 fine\r\n\r\n";
  std::unique_ptr<Server> upstream_server;
};

TEST_F(GateSni, TheRightNamePassesAndTheUpstreamIsAskedByName) {
  Peer peer = tunnel("a.example:443");
  const std::string hello = client_hello("A.example");
  // In two pieces: nothing may pass before the name was seen.
  peer.send(hello.substr(0, 30));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(seen(leaked), "");
  peer.send(hello.substr(30));
  EXPECT_EQ(peer.receive_exactly(4), "pong");
  EXPECT_EQ(seen(leaked), hello);
  EXPECT_EQ(seen(upstream_heads),
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic dXNlcjpwdw==\r\n\r\n");
  EXPECT_NE(record(Event::kOpened).address.find("upstream"), std::string::npos);
}

TEST_F(GateSni, AnotherNameIsClosedAndLoggedAndReachesNobody) {
  for (const std::string& hello :
       {client_hello("b.example"), client_hello(""), client_hello("a.example."),
        client_hello(std::string("a.example\0", 10)), std::string("GET / HTTP/1.1\r\n\r\n")}) {
    Peer peer = tunnel("a.example:443");
    peer.send(hello);
    // What is TLS is told in TLS.
    const std::string answer = peer.receive_all();
    EXPECT_TRUE(hello[0] == '\x16' ? answer.starts_with("\x15\x03\x03") && answer.size() == 7 : answer.empty()) << answer;
  }
  EXPECT_NE(record(Event::kRefused).reason.find("b.example"), std::string::npos);
  EXPECT_EQ(seen(leaked), "");
  EXPECT_TRUE(none_open_soon());
}

TEST_F(GateSni, OtherPortsNeedNoTlsButTlsThereIsCheckedToo) {
  Peer plain = tunnel("a.example:2222");
  plain.send("SSH-2.0-x\r\n");
  EXPECT_EQ(plain.receive_exactly(4), "pong");
  Peer tls = tunnel("a.example:8443");
  tls.send(client_hello("b.example"));
  EXPECT_EQ(tls.receive_all(), std::string("\x15\x03\x03\0\2\2\x70", 7));
  EXPECT_EQ(seen(leaked), "SSH-2.0-x\r\n");
}

TEST_F(GateSni, AnUpstreamThatRefusesIsABadGateway) {
  proxy_answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
  const std::string answer = ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 ")) << answer;
  EXPECT_NE(answer.find("407"), std::string::npos);
  EXPECT_TRUE(ask("CONNECT evil.test:443 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 "));
}

TEST_F(GateSni, AClientThatSaysNothingOnPort443IsClosed) {
  gate.reset();
  config.limits.head_time = 200ms;
  start();
  Peer peer = tunnel("a.example:443");
  peer.send("\x16\x03");
  EXPECT_EQ(peer.receive_all(), "");
  EXPECT_NE(record(Event::kRefused).reason.find("in time"), std::string::npos);
}

}  // namespace
}  // namespace locki::gate
