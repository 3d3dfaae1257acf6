// What the gate costs, as ratios within one run: throughput and connections through it against the same server directly, and the memory that idle
// connections hold. A program for people and for docs; nothing is asserted.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>

#include "sys/limits.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kDownload = 1ULL << 30;
constexpr int kConnections = 500, kIdle = 1000;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

Peer tunnel(std::uint16_t port) {
  Peer peer = Peer::connect(port);
  peer.send("CONNECT bench.locki.internal:443 HTTP/1.1\r\n\r\n");
  peer.receive_until("\r\n\r\n");
  return peer;
}

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

void run() {
  std::signal(SIGPIPE, SIG_IGN);
  sys::raise_descriptor_limit(8192);
  Server server([](Peer& peer) {
    const std::string block(1 << 18, 'x');
    if (peer.receive(1) == "g")
      for (std::size_t sent = 0; sent < kDownload && peer.send(block); sent += block.size()) continue;
  });
  GateConfig config;
  config.limits.connections_per_client = kIdle + 100;
  auto gate = Gate::start(std::move(config)).value();
  Policy policy;
  policy.services = {parse_service("bench.locki.internal", "127.0.0.1:" + std::to_string(server.port())).value()};
  gate->admit(Address::v4(INADDR_LOOPBACK - HostTable::kAnyHost), {"bench", "bench", policy});
  std::uint16_t port = 0;
  gate->serve(listen_local(port), Entrance::kExplicit, 3128);
  (void)tunnel(port);

  const double direct = std::max(download(Peer::connect(server.port())), download(Peer::connect(server.port())));
  const double through = std::max(download(tunnel(port)), download(tunnel(port)));
  fmt::print("throughput: direct {:.0f} MiB/s, through the gate {:.0f} MiB/s: {:.0f} %\n", direct, through, 100 * through / direct);

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
  const long base = resident_kib();
  std::vector<Peer> idle;
  for (int i = 0; i < kIdle; ++i) idle.push_back(tunnel(port));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  fmt::print("{} idle connections: {:.1f} MiB for the gate\n", kIdle, static_cast<double>((resident_kib() - base) - (base - before)) / 1024);
}

}  // namespace
}  // namespace locki::gate

int main() { locki::gate::run(); }
