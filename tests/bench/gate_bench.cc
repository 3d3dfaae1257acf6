// What the gate costs, as ratios within one run: throughput both ways (also of a loop that does nothing but splice between two sockets, which is the most that any relay can have), request and answer pairs, and connections through it against the same server
// directly; the memory and descriptors that idle connections hold. `taskset -c 0` shows it for one core. A program for people and for docs; nothing is
// asserted.
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "sys/limits.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kDownload = 1ULL << 30;
constexpr int kConnections = 500, kIdle = 1000, kPairs = 20'000, kRepeats = 3;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

long open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

Peer tunnel(std::uint16_t port) {
  Peer peer = Peer::connect(port);
  peer.send("CONNECT bench.locki.internal:443 HTTP/1.1\r\n\r\n");
  peer.receive_until("\r\n\r\n");
  return peer;
}

// MiB/s each way, then microseconds for a small request and its answer.
double download(Peer peer) {
  const auto begun = Clock::now();
  peer.send("g");
  std::size_t got = 0;
  std::string chunk(1 << 18, '\0');
  while (got < kDownload) {
    const ssize_t n = ::recv(peer.fd(), chunk.data(), chunk.size(), 0);
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  return static_cast<double>(got) / seconds_since(begun) / (1 << 20);
}

double upload(Peer peer) {
  const auto begun = Clock::now();
  peer.send("p");
  const std::string block(1 << 18, 'x');
  std::size_t sent = 0;
  while (sent < kDownload && peer.send(block)) sent += block.size();
  peer.end();
  peer.receive(1);  // the server has it all
  return static_cast<double>(sent) / seconds_since(begun) / (1 << 20);
}

double round_trip(Peer peer) {
  const std::string request(200, 'q');
  peer.send("e");
  const auto begun = Clock::now();
  for (int i = 0; i < kPairs; ++i) {
    peer.send(request);
    peer.receive_exactly(request.size());
  }
  return seconds_since(begun) * 1e6 / kPairs;
}

void serve(Peer& peer) {
  const std::string block(1 << 18, 'x');
  const std::string what = peer.receive(1);
  if (what == "g")
    for (std::size_t sent = 0; sent < kDownload && peer.send(block); sent += block.size()) continue;
  if (what == "e") echo(peer);
  std::string into(1 << 18, '\0');
  if (what == "p")
    while (::recv(peer.fd(), into.data(), into.size(), 0) > 0) continue;
}

// The bare relay: each connection gets two threads that splice, blocking, from one socket to the other. No policy, no loop.
void splice_all(int from, int to) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  (void)::fcntl(ends[1], F_SETPIPE_SZ, 256 << 10);
  for (ssize_t got; (got = ::splice(from, nullptr, ends[1], nullptr, 256 << 10, SPLICE_F_MOVE)) > 0;)
    for (ssize_t sent = 0; got > 0 && (sent = ::splice(ends[0], nullptr, to, nullptr, static_cast<std::size_t>(got), SPLICE_F_MOVE)) > 0;) got -= sent;
  ::shutdown(to, SHUT_WR);
  ::close(ends[0]);
  ::close(ends[1]);
}

// The better of several runs, the two ways in turn, so that a neighbour's noise meets both.
struct Both {
  double direct = 0, gate = 0, bare = 0;
};
Both best(double (*measure)(Peer), std::uint16_t direct, std::uint16_t gate, std::uint16_t bare, bool more_is_better) {
  Both both;
  for (int i = 0; i < kRepeats; ++i) {
    const double one = measure(Peer::connect(direct)), other = measure(tunnel(gate)), least = measure(Peer::connect(bare));
    both.direct = i == 0 || (one > both.direct) == more_is_better ? one : both.direct;
    both.bare = i == 0 || (least > both.bare) == more_is_better ? least : both.bare;
    both.gate = i == 0 || (other > both.gate) == more_is_better ? other : both.gate;
  }
  return both;
}

void run() {
  std::signal(SIGPIPE, SIG_IGN);
  sys::raise_descriptor_limit(8192);
  Server server(serve);
  GateConfig config;
  config.limits.connections_per_client = kIdle + 100;
  auto gate = Gate::start(std::move(config)).value();
  Policy policy;
  policy.services = {parse_service("bench.locki.internal", "127.0.0.1:" + std::to_string(server.port())).value()};
  gate->admit(Address::v4(INADDR_LOOPBACK - HostTable::kAnyHost), {"bench", "bench", policy});
  std::uint16_t port = 0;
  gate->serve(listen_local(port), Entrance::kExplicit, 3128);
  (void)tunnel(port);

  Server relay([&](Peer& client) {
    const timeval never{};
    Peer behind = Peer::connect(server.port());
    for (const int fd : {client.fd(), behind.fd()}) {
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
      ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &never, sizeof never);
    }
    std::thread out([&] { splice_all(client.fd(), behind.fd()); });
    splice_all(behind.fd(), client.fd());
    out.join();
  });
  const Both down = best(download, server.port(), port, relay.port(), true), up = best(upload, server.port(), port, relay.port(), true);
  for (const auto& [way, both] : {std::pair{"download", down}, std::pair{"upload", up}})
    fmt::print("{}: direct {:.0f} MiB/s, through the gate {:.0f} MiB/s: {:.0f} %; through a bare splice {:.0f} MiB/s: {:.0f} %\n", way, both.direct, both.gate,
               100 * both.gate / both.direct, both.bare, 100 * both.bare / both.direct);
  const Both pair = best(round_trip, server.port(), port, relay.port(), false);
  fmt::print("a request and its answer: direct {:.1f} us, through the gate {:.1f} us, through a bare splice {:.1f} us\n", pair.direct, pair.gate, pair.bare);

  auto begun = Clock::now();
  for (int i = 0; i < kConnections; ++i) (void)Peer::connect(server.port());
  const double direct_ms = seconds_since(begun) * 1000 / kConnections;
  begun = Clock::now();
  for (int i = 0; i < kConnections; ++i) (void)tunnel(port);
  const double gate_ms = seconds_since(begun) * 1000 / kConnections;
  fmt::print("a connection: direct {:.3f} ms, through the gate {:.3f} ms: {:.3f} ms added\n", direct_ms, gate_ms, gate_ms - direct_ms);

  // The clients and the server's threads live in this process too: what they hold is measured first, without the gate.
  const long before = resident_kib();
  std::vector<Peer> direct_idle;
  for (int i = 0; i < kIdle; ++i) direct_idle.push_back(Peer::connect(server.port()));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const long base = resident_kib(), descriptors = open_descriptors();
  std::vector<Peer> idle;
  for (int i = 0; i < kIdle; ++i) idle.push_back(tunnel(port));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  fmt::print("{} idle connections: {:.1f} MiB and {} descriptors for the gate\n", kIdle,
             static_cast<double>((resident_kib() - base) - (base - before)) / 1024, open_descriptors() - descriptors - kIdle - kIdle);
}

}  // namespace
}  // namespace locki::gate

int main() { locki::gate::run(); }
