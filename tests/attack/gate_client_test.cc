// A client that wants out: root in a sandbox, with every way of saying an address that anybody has thought of. The policy here is as wide as a
// user can make it (mode open, and rules that name the targets), so what holds is what holds always. Bait listens on every address of this
// host, IPv4 and IPv6: it must see nobody.
#include "unit/gate/hello.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Event = AuditRecord::Event;

// Counts who connects to a port of any of the host's addresses.
class Bait {
 public:
  Bait() {
    sys::Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int off = 0;
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    socklen_t size = sizeof any;
    if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), size) != 0 || ::listen(fd.get(), 64) != 0) {
      fd = listen_local(port_, INADDR_ANY);  // a host without IPv6
    } else {
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&any), &size);
      port_ = ntohs(any.sin6_port);
    }
    listener_ = std::move(fd);
    thread_ = std::thread([this] {
      while (sys::Fd caught{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)}) ++count_;
    });
  }
  ~Bait() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::uint16_t port() const { return port_; }
  int count() const { return count_; }

 private:
  std::uint16_t port_ = 0;
  sys::Fd listener_;
  std::atomic<int> count_{0};
  std::thread thread_;
};

const std::vector<std::string> kV4 = {"127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
                                      "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "198.19.1.1", "224.0.0.1", "239.255.255.255",
                                      "240.0.0.1", "255.255.255.255"};
const std::vector<std::string> kV6 = {"::1", "::", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1",
                                      "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2001:0:7f00:1::1", "fe80::5efe:7f00:1"};
// What some parser takes for 127.0.0.1, for ::1 or for another host than the next parser.
const std::vector<std::string> kSpellings = {"127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.", "127.0.0.01", "1270.0.1", "127.0.0.1%00",
                                             "0", "00000000", "127.0.0.1:80@a.example", "a.example@127.0.0.1", "127.0.0.1#a.example", "127.0.0.1\\a.example", "a.example.", "a..example",
                                             "-a.example", "a_b.example", "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1", "127\xe3\x80\x82" "0.0.1", "a.ex\tample", "[::1", "::1", "[::1%lo]", "[::1]x",
                                             "[127.0.0.1]", "[0:0:0:0:0:0:0:1:0]", "lo%63alhost", "localhost%00.example"};

class Attack : public GateTest {
 protected:
  void open_wide(const std::vector<std::string>& targets) {
    policy.mode = Mode::kOpen;
    for (const std::string& target : targets) policy.rules.push_back(parse_rule_target(true, target + ":*", "").value());
    start();
    at_80 = transparent(80);
    at_443 = transparent(443);
  }
  // Through every door; none of the answers is a success.
  void try_all(const std::string& authority) {
    const std::string with_port = authority + ":" + std::to_string(bait.port());
    EXPECT_FALSE(ask("CONNECT " + with_port + " HTTP/1.1\r\nHost: a.example\r\n\r\n").starts_with("HTTP/1.1 2")) << authority;
    EXPECT_TRUE(ask("GET http://" + with_port + "/ HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 4")) << authority;
    for (const std::string& host : {authority, with_port})
      EXPECT_TRUE(to(at_80, "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").starts_with("HTTP/1.1 4")) << host;
    EXPECT_TRUE(to(at_80, "GET http://" + authority + "/ HTTP/1.1\r\nHost: " + authority + "\r\n\r\n").starts_with("HTTP/1.1 4")) << authority;
    EXPECT_TRUE(to(at_443, client_hello(authority)).starts_with("\x15\x03\x03")) << authority;
    if (authority.size() < 256) {
      const std::string socks = socks_to("\3"s + static_cast<char>(authority.size()) + authority);
      EXPECT_TRUE(socks.size() >= 4 && socks[3] != 0) << authority;
    }
  }
  std::string socks_to(const std::string& address) {
    return ask("\5\1\0\5\1\0"s + address + static_cast<char>(bait.port() >> 8) + static_cast<char>(bait.port() & 0xff));
  }
  std::string to(std::uint16_t real, const std::string& bytes) {
    Peer peer = Peer::connect(real);
    peer.send(bytes);
    peer.end();
    return peer.receive_all();
  }
  Bait bait;
  std::uint16_t at_80 = 0, at_443 = 0;
};

TEST_F(Attack, EveryClassOfAddress) {
  std::vector<std::string> all = kV4;
  for (const std::string& each : kV6) all.push_back("[" + each + "]");
  for (const Address& own : own_addresses()) all.push_back(own.family == Address::Family::kV4 ? own.to_string() : "[" + own.to_string() + "]");
  open_wide(all);
  for (const std::string& each : all) try_all(each);
  // As bytes, where there is no spelling.
  for (const auto& list : {kV4, kV6}) {
    for (const std::string& each : list) {
      const auto address = Address::parse(each);
      ASSERT_TRUE(address) << each;
      const bool v4 = address->family == Address::Family::kV4;
      const std::string bytes(reinterpret_cast<const char*>(address->bytes.data()), v4 ? 4 : 16);
      const std::string answer = socks_to((v4 ? "\1"s : "\4"s) + bytes);
      EXPECT_TRUE(answer.size() == 12 && answer[3] == 2) << each;
    }
  }
  EXPECT_EQ(bait.count(), 0);
  EXPECT_TRUE(none_open_soon());
}

TEST_F(Attack, EveryOddSpelling) {
  open_wide({});
  for (const std::string& each : kSpellings) try_all(each);
  for (const std::string& each : {"a\0.example"s, "\0"s, "127.0.0.1\0.a.example"s, std::string(300, 'a'), "a." + std::string(64, 'b') + ".example", "\r\n"s}) try_all(each);
  EXPECT_EQ(bait.count(), 0);
}

TEST_F(Attack, NamesOfThisHostAndItsNetwork) {
  resolver->names = {{"localhost", {"127.0.0.1", "::1"}}, {"a.example", {"127.0.0.1"}}, {"b.example", {"::ffff:127.0.0.1"}}, {"c.example", {"0.0.0.0"}}, {"d.example", {"64:ff9b::7f00:1"}},
                     {"e.example", {"169.254.169.254"}}, {"f.example", {"fd00:ec2::254"}}, {"g.example", {"10.0.0.1", "192.168.0.1", "fe80::1"}}};
  for (const Address& own : own_addresses()) resolver->names["own.example"].push_back(own.to_string());
  open_wide({"localhost", ".example"});
  for (const auto& [name, addresses] : resolver->names) try_all(name);
  EXPECT_EQ(bait.count(), 0);
}

// A name server of the attacker's: what was public a moment ago is the metadata service now.
TEST_F(Attack, Rebinding) {
  class Changing : public Resolver {
   public:
    void resolve(std::string, Done done) override {
      done(std::vector<Address>{Address::parse(calls++ % 2 == 0 ? "192.0.2.1" : "127.0.0.1").value()});
    }
    std::atomic<int> calls{0};
  };
  config.resolver = std::make_shared<Changing>();
  config.limits.connect_time = 200ms;
  const auto changing = std::static_pointer_cast<Changing>(config.resolver);
  policy.rules = parse_rules("allow .example:*", "").value();
  auto started = Gate::start(config);
  ASSERT_TRUE(started);
  gate = std::move(*started);
  update(policy);
  gate->serve(listen_local(port), Entrance::kExplicit, 3128);
  for (int i = 0; i < 6; ++i) {
    const std::string answer = ask("CONNECT a.example:" + std::to_string(bait.port()) + " HTTP/1.1\r\n\r\n");
    EXPECT_FALSE(answer.starts_with("HTTP/1.1 200")) << answer;
  }
  EXPECT_EQ(changing->calls, 6) << "each decision resolves once, and nothing is resolved behind it";
  EXPECT_EQ(bait.count(), 0);
}

// An answer that mixes both: the public one is tried, the other never.
TEST_F(Attack, AMixedAnswer) {
  config.limits.connect_time = 200ms;
  resolver->names = {{"a.example", {"127.0.0.1", "192.0.2.1", "::1"}}};
  open_wide({".example"});
  const std::string answer = ask("CONNECT a.example:" + std::to_string(bait.port()) + " HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 50")) << answer;
  EXPECT_EQ(record(Event::kFailed).address, "192.0.2.1");
  EXPECT_EQ(bait.count(), 0);
}

// One request is decided on; a second one in it, for another host, must not arrive.
TEST_F(Attack, SmuggledRequests) {
  std::mutex mutex;
  std::string seen;
  Server server([&](Peer& peer) {
    // Ends with the connection or after a while: what was smuggled would be in here.
    const timeval limit{.tv_sec = 0, .tv_usec = 200'000};
    ::setsockopt(peer.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const std::string all = peer.receive_all();
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    const std::lock_guard lock(mutex);
    seen += all;
  });
  service("model", server.port());
  start();
  at_80 = transparent(80);
  const std::string inner = "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n", host = "Host: model.locki.internal\r\n";
  for (const std::string& headers :
       {host + "Content-Length: 0\r\n\r\n" + inner, host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, host + "Connection: keep-alive\r\n\r\n" + inner,
        host + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, host + "Content-Length: 0\r\nContent-Length: 46\r\n\r\n" + inner,
        host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner, host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, host + "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n" + inner,
        host + "X: y\n\nGET /smuggled HTTP/1.1\r\n\r\n", host + "X: y\r\n\tGET /smuggled\r\n\r\n", host + "Content-Length: 0x2e\r\n\r\n" + inner,
        host + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n" + inner, host + "Connection: content-length\r\nContent-Length: 46\r\n\r\n" + inner})
    for (const std::string& line : {"POST / HTTP/1.1\r\n"s, "GET / HTTP/1.1\r\n"s}) to(at_80, line + headers);
  EXPECT_TRUE(none_open_soon());
  const std::lock_guard lock(mutex);
  EXPECT_NE(seen.find("POST / HTTP/1.1\r\nHost: model.locki.internal\r\n"), seen.npos) << "the honest part arrives";
  // Only as the body that Content-Length declared it to be.
  for (std::size_t at = seen.find("/smuggled"); at != seen.npos; at = seen.find("/smuggled", at + 1))
    EXPECT_TRUE(seen.substr(0, at).ends_with("Content-Length: 46\r\nConnection: close\r\n\r\nGET ")) << seen.substr(at > 200 ? at - 200 : 0, 240);
}

// A hundred that send a byte now and then: each is gone at its deadline, whatever it sends, and others are served meanwhile.
TEST_F(Attack, SlowClients) {
  config.limits.head_time = 600ms;
  Server server(echo);
  service("model", server.port());
  start();
  at_80 = transparent(80);
  at_443 = transparent(443);
  const std::string heads[] = {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\5\1\0\5\1\0\3\xff"s, "CONNECT a.example:443 HTTP/1.1\r\nX: "};
  std::vector<std::pair<Peer, std::string>> slow;
  for (int i = 0; i < 100; ++i) slow.emplace_back(i % 4 == 0 ? Peer::connect(at_80) : i % 4 == 1 ? Peer::connect(at_443) : client(), heads[i % 4]);
  const auto begun = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < 60 && std::chrono::steady_clock::now() - begun < 1s; ++at) {
    for (auto& [peer, head] : slow) peer.send(at < head.size() ? head.substr(at, 1) : "x");
    if (at == 5) {
      Peer quick = tunnel("model.locki.internal:443");
      quick.send("hello");
      EXPECT_EQ(quick.receive_exactly(5), "hello");
    }
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(none_open_soon());
}

// A handshake of 16 MiB in single records, a method without end, a head without end: bounded, and over.
TEST_F(Attack, EndlessOpenings) {
  start();
  at_80 = transparent(80);
  at_443 = transparent(443);
  const std::string record_of_one = "\x16\x03\x01\0\1\1"s;
  for (const auto& [real, first, more] : {std::tuple{at_443, "\x16\x03\x01\x40\x00\x01\x00\x40\x00"s, std::string(4096, 'x')}, {at_443, ""s, record_of_one},
                                          {at_80, "GET / HTTP/1.1\r\n"s, "X: " + std::string(2000, 'y') + "\r\n"}, {at_80, ""s, "AAAAAAAAAAAAAAAA"s}, {port, ""s, "AAAAAAAAAAAAAAAA"s}}) {
    Peer peer = Peer::connect(real);
    peer.send(first);
    std::size_t sent = 0;
    while (sent < (16u << 20) && peer.send(more)) sent += more.size();
    EXPECT_LT(sent, 16u << 20);
  }
  EXPECT_TRUE(none_open_soon());
}

}  // namespace
}  // namespace locki::gate
