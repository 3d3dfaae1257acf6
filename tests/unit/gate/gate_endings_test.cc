// However a connection ends, and whatever it was doing just then, nothing of it stays: not in the count, not as a descriptor, not as a pipe. The limits
// on idle connections are hours here, so that none of them does what an end must do.
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <tuple>

#include "gate/socket_ops.h"
#include "gate/splice_pipe.h"
#include "unit/gate/hello.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::chrono_literals;

enum class End { kOrderly, kReset };
enum class First { kClient, kServer, kClientHalf, kServerHalf };

// What a connection is doing when it ends.
enum class Doing {
  kNothing,          // not a byte came
  kHalfHead,         // of a request
  kHalfHello,        // of a TLS hello, behind a transparent entrance
  kHalfSocks,
  kAsking,           // the user
  kResolving,        // a resolver that does not answer
  kConnecting,       // to a server that does not answer
  kUpstreamSilent,   // the upstream proxy does not answer
  kTunnelIdle,
  kTunnelTalked,     // and bytes went both ways
  kDownloadStalled,  // the client does not read, pipes are full
  kUploadStalled,    // the server does not read
  kBothStalled,
  kRequestSent,      // the answer is not there yet
  kBodyHalf,
  kChunksHalf,
  kBodyStalled,      // behind a filter, by count
  kUpgradeUnanswered,
  kSwitched,
  kRefused,          // the refusal was not read
  kLast
};

const char* to_string(Doing doing) {
  static const char* const names[] = {"Nothing", "HalfHead", "HalfHello", "HalfSocks", "Asking", "Resolving", "Connecting", "UpstreamSilent", "TunnelIdle", "TunnelTalked", "DownloadStalled", "UploadStalled",
                                      "BothStalled", "RequestSent", "BodyHalf", "ChunksHalf", "BodyStalled", "UpgradeUnanswered", "Switched", "Refused"};
  return names[static_cast<int>(doing)];
}

std::vector<Doing> everything() {
  std::vector<Doing> all;
  for (int i = 0; i < static_cast<int>(Doing::kLast); ++i) all.push_back(static_cast<Doing>(i));
  return all;
}

// What is open, by kind, and how many ends of pipes. A pipe that holds nothing may be kept for the next connection.
struct OpenFiles {
  std::multiset<std::string> all;
  std::size_t pipes = 0;
  bool as(const OpenFiles& before) const { return all == before.all && pipes <= kLoopsPipes + 2 * PipePool::kSpare; }
  static constexpr std::size_t kLoopsPipes = 4;
};

OpenFiles open_files() {
  OpenFiles found;
  std::error_code gone;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    const std::string to = std::filesystem::read_symlink(each.path(), gone).string();
    if (to.starts_with("pipe:")) ++found.pipes;
    else found.all.insert(to.substr(0, to.find(':')));  // "socket", "anon_inode", "/dev/null"
  }
  return found;
}

class GateEnding : public GateTest {
 protected:
  std::optional<Peer> accept_server(std::chrono::milliseconds wait = 10s) {
    pollfd waiting{.fd = server_listener.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(wait.count())) != 1) return std::nullopt;
    sys::Fd fd(::accept4(server_listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return Peer(std::move(fd));
  }
  // Until nothing more fits on the way.
  static void fill(Peer& peer) {
    const std::string block(256 << 10, 'x');
    for (int i = 0; i < 4;) {
      const ssize_t n = ::send(peer.fd(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) i = 0;
      else ++i, std::this_thread::sleep_for(10ms);
    }
  }
  static void end(std::optional<Peer>& peer, End how) {
    if (!peer) return;
    if (how == End::kReset) reset_on_close(peer->fd());
    peer.reset();
  }
  void connect_tunnel() {
    client_peer.emplace(tunnel("site.locki.internal:7777"));
    server_peer = accept_server();
  }
  void arrange(Doing doing) {
    switch (doing) {
      case Doing::kNothing:
        client_peer.emplace(client());
        return;
      case Doing::kHalfHead:
        client_peer.emplace(client());
        client_peer->send("GET http://site.locki");
        return;
      case Doing::kHalfHello:
        client_peer.emplace(Peer::connect(transparent_port));
        client_peer->send(client_hello("site.locki.internal").substr(0, 30));
        return;
      case Doing::kHalfSocks:
        client_peer.emplace(client());
        client_peer->send(std::string("\x05\x01\x00", 3));
        EXPECT_EQ(client_peer->receive_exactly(2), std::string("\x05\x00", 2));
        client_peer->send("\x05\x01");
        return;
      case Doing::kAsking:
        client_peer.emplace(client());
        client_peer->send("CONNECT unknown.example:443 HTTP/1.1\r\n\r\n");
        EXPECT_TRUE(soon([this] { return gate->questions().size() == 1; }));
        return;
      case Doing::kResolving:
        resolver->hang = true;
        client_peer.emplace(client());
        client_peer->send("CONNECT slow.example:443 HTTP/1.1\r\n\r\n");
        return;
      case Doing::kConnecting:
        // A queue of one that is full: what comes next gets no answer.
        crowd_listener = listen_local(crowd_port);
        ::listen(crowd_listener.get(), 0);
        for (int i = 0; i < 3; ++i) {
          crowd.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
          sockaddr_in address{};
          address.sin_family = AF_INET;
          address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
          address.sin_port = htons(crowd_port);
          (void)::connect(crowd.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
        }
        policy.services.push_back(parse_service("full.locki.internal", "127.0.0.1:" + std::to_string(crowd_port)).value());
        update(policy);
        client_peer.emplace(client());
        client_peer->send("CONNECT full.locki.internal:443 HTTP/1.1\r\n\r\n");
        return;
      case Doing::kUpstreamSilent:
        client_peer.emplace(client());
        client_peer->send("CONNECT proxied.example:443 HTTP/1.1\r\n\r\n");
        server_peer = accept_server();
        return;
      case Doing::kTunnelIdle:
        return connect_tunnel();
      case Doing::kTunnelTalked:
        connect_tunnel();
        client_peer->send("ping");
        EXPECT_EQ(server_peer->receive_exactly(4), "ping");
        server_peer->send("pong");
        EXPECT_EQ(client_peer->receive_exactly(4), "pong");
        return;
      case Doing::kDownloadStalled:
        connect_tunnel();
        return fill(*server_peer);
      case Doing::kUploadStalled:
        connect_tunnel();
        return fill(*client_peer);
      case Doing::kBothStalled:
        connect_tunnel();
        fill(*client_peer);
        return fill(*server_peer);
      case Doing::kRequestSent:
        return request("GET http://site.locki.internal/ HTTP/1.1\r\n\r\n");
      case Doing::kBodyHalf:
        return request("POST http://site.locki.internal/ HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf");
      case Doing::kChunksHalf:
        return request("POST http://site.locki.internal/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal");
      case Doing::kBodyStalled:
        request("POST http://site.locki.internal/ HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nhalf");
        return fill(*client_peer);
      case Doing::kUpgradeUnanswered:
      case Doing::kSwitched:
        request("GET http://site.locki.internal/ HTTP/1.1\r\nHost: site.locki.internal\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n");
        if (doing == Doing::kUpgradeUnanswered) return;
        server_peer->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        EXPECT_NE(client_peer->receive_until("hello"), "");
        return;
      case Doing::kRefused:
        client_peer.emplace(client());
        client_peer->send("GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n");
        (void)record(AuditRecord::Event::kRefused);
        return;
      case Doing::kLast:
        return;
    }
  }
  void request(const std::string& text) {
    client_peer.emplace(client());
    client_peer->send(text);
    server_peer = accept_server();
    server_peer->receive_until("\r\n\r\n");
  }
  bool soon_as_before(const OpenFiles& before) {
    return soon([&] { return open_files().as(before); });
  }

  std::uint16_t server_port = 0, transparent_port = 0, crowd_port = 0;
  sys::Fd server_listener, crowd_listener;
  std::vector<sys::Fd> crowd;
  std::optional<Peer> client_peer, server_peer;
};

class GateEndings : public GateEnding, public ::testing::WithParamInterface<std::tuple<Doing, First, End>> {};

TEST_P(GateEndings, NothingStays) {
  const auto [doing, first, how] = GetParam();
  server_listener = listen_local(server_port);
  // What must wait because nobody can know better has short limits, all else hours.
  config.limits.head_time = config.limits.idle_time = config.limits.half_closed_idle_time = 3600s;
  config.limits.resolve_time = config.limits.connect_time = doing == Doing::kResolving || doing == Doing::kConnecting ? 300ms : std::chrono::milliseconds(3600s);
  policy.ask_time = 3600s;
  if (doing == Doing::kUpstreamSilent) config.upstream.https = UpstreamProxy{.endpoint = {Host{"127.0.0.1", Address::v4(INADDR_LOOPBACK)}, server_port}};
  policy.mode = doing == Doing::kAsking ? Mode::kAsk : Mode::kGate;
  rules("allow slow.example\nallow proxied.example");
  service("site", server_port);
  start();
  transparent_port = transparent(443);
  // The loop's own descriptors are all there then.
  {
    connect_tunnel();
    fill(*server_peer);
    fill(*client_peer);
    end(client_peer, End::kReset);
    end(server_peer, End::kReset);
    ASSERT_TRUE(none_open_soon());
  }
  const auto before = open_files();
  arrange(doing);
  ASSERT_FALSE(HasFailure());
  if (!crowd_listener && doing != Doing::kRefused) {
    EXPECT_TRUE(soon([this] { return gate->stats().open == 1; }));
  }

  const auto pause = [] { std::this_thread::sleep_for(30ms); };
  if (first == First::kClientHalf && client_peer) client_peer->end(), pause();
  if (first == First::kServerHalf && server_peer) server_peer->end(), pause();
  if (first == First::kServer || first == First::kServerHalf) {
    end(server_peer, how);
    pause();
    end(client_peer, how);
  } else {
    end(client_peer, how);
    pause();
    end(server_peer, how);
  }
  // A server that nobody has waited for.
  while (auto late = accept_server(0ms)) {
  }
  EXPECT_TRUE(none_open_soon());
  EXPECT_TRUE(gate->questions().empty());
  if (!crowd_listener) {
    EXPECT_TRUE(soon_as_before(before)) << ::testing::PrintToString(before.all) << "\nnow\n" << ::testing::PrintToString(open_files().all) << " and " << open_files().pipes << " ends of pipes";
  }
}

// One side of a connection that does this and that for a moment and ends somehow.
void behave(Peer& peer, std::mt19937& random) {
  for (unsigned long i = 0, steps = random() % 5; i < steps; ++i) {
    switch (random() % 4) {
      case 0:
        (void)::send(peer.fd(), "a few", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
      case 1: {
        const std::string block(1 + random() % 400'000, 'y');
        (void)::send(peer.fd(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
      }
      case 2: {
        std::string into(1 + random() % 400'000, ' ');
        (void)::recv(peer.fd(), into.data(), into.size(), MSG_DONTWAIT);
        break;
      }
      default:
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    }
  }
  if (random() % 3 == 0) peer.end();
  if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
  if (random() % 2 == 0) reset_on_close(peer.fd());
  peer.close();
}

TEST_F(GateEnding, ManyAtRandomMoments) {
  config.limits.head_time = config.limits.idle_time = config.limits.half_closed_idle_time = config.limits.connect_time = 3600s;
  std::atomic<unsigned> served{0};
  auto server = std::make_optional<Server>([&](Peer& peer) {
    std::mt19937 random(++served);
    const unsigned long how = random() % 4;
    if (how > 0) peer.receive_until("\r\n\r\n");
    if (how == 1) peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    if (how == 2) peer.send("HTTP/1.1 200 OK\r\n\r\n");
    behave(peer, random);
  });
  service("site", server->port());
  start();
  (void)ask("GET http://site.locki.internal/ HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(none_open_soon());
  const OpenFiles before = open_files();

  const std::string requests[] = {
      "CONNECT site.locki.internal:7777 HTTP/1.1\r\n\r\n\r\n\r\n",
      "GET http://site.locki.internal/ HTTP/1.1\r\n\r\n",
      "POST http://site.locki.internal/ HTTP/1.1\r\nContent-Length: 300000\r\n\r\n",
      "POST http://site.locki.internal/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n",
      "GET http://site.locki.internal/ HTTP/1.1\r\nHost: site.locki.internal\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n",
      "CONNECT elsewhere.example:443 HTTP/1.1\r\n\r\n",
      "nonsense\r\n\r\n",
  };
  std::vector<std::thread> clients;
  for (unsigned worker = 0; worker < 8; ++worker) {
    clients.emplace_back([&, worker] {
      std::mt19937 random(1000 + worker);
      for (int i = 0; i < 150; ++i) {
        Peer peer = client();
        const std::string& text = requests[random() % std::size(requests)];
        peer.send(std::string_view(text).substr(0, random() % 8 == 0 ? random() % text.size() : text.size()));
        behave(peer, random);
      }
    });
  }
  for (std::thread& each : clients) each.join();
  EXPECT_TRUE(none_open_soon()) << gate->stats().open;
  EXPECT_TRUE(soon_as_before(before)) << ::testing::PrintToString(before.all) << "\nnow\n" << ::testing::PrintToString(open_files().all) << " and " << open_files().pipes << " ends of pipes";
  EXPECT_GT(served, 300u);
  gate.reset();
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Doing, First, End>>& test) {
  static const char* const firsts[] = {"ClientFirst", "ServerFirst", "ClientHalfFirst", "ServerHalfFirst"};
  const auto [doing, first, how] = test.param;
  return to_string(doing) + std::string(firsts[static_cast<int>(first)]) + (how == End::kReset ? "Reset" : "Orderly");
}

INSTANTIATE_TEST_SUITE_P(All, GateEndings,
                         ::testing::Combine(::testing::ValuesIn(everything()), ::testing::Values(First::kClient, First::kServer, First::kClientHalf, First::kServerHalf),
                                            ::testing::Values(End::kOrderly, End::kReset)),
                         name_of);

}  // namespace
}  // namespace locki::gate
