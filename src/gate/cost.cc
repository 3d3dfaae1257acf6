#include "gate/cost.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "base/strings.h"
#include "gate/gate.h"
#include "sys/file.h"
#include "sys/limits.h"

namespace locki::gate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBlock = 256 << 10;
constexpr std::string_view kServing = "bench.locki.internal", kHolding = "idle.locki.internal";

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

// ---- sockets

sockaddr_in here(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

Result<sys::Fd> listen_here(std::uint16_t& port) {
  sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = here(0);
  socklen_t size = sizeof address;
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 512) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return fail_errno(errno, "cannot listen on 127.0.0.1");
  }
  port = ntohs(address.sin_port);
  return fd;
}

// Every wait of it has an end, so that a gate that hangs is an error.
Result<sys::Fd> connect_here(std::uint16_t port) {
  const timeval patience{.tv_sec = 30, .tv_usec = 0};
  const int on = 1;
  sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = here(port);
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail_errno(errno, "cannot connect to 127.0.0.1");
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Result<> transmit_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return fail(ErrorKind::kTimeout, "what is sent is not taken");
    if (n <= 0) return fail_errno(errno, "cannot send");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// At least a byte; 0 at the end.
Result<std::size_t> receive_into(int fd, std::span<char> into) {
  const ssize_t n = ::recv(fd, into.data(), into.size(), 0);
  if (n < 0 && errno == EAGAIN) return fail(ErrorKind::kTimeout, "nothing comes");
  if (n < 0) return fail_errno(errno, "cannot receive");
  return static_cast<std::size_t>(n);
}

Result<sys::Fd> tunnel(std::uint16_t gate, std::string_view host) {
  TRY_ASSIGN(sys::Fd fd, connect_here(gate));
  TRY(transmit_all(fd.get(), "CONNECT " + std::string(host) + ":443 HTTP/1.1\r\n\r\n"));
  std::string answer;
  std::array<char, 4096> part;
  while (answer.find("\r\n\r\n") == answer.npos && answer.size() < part.size()) {
    TRY_ASSIGN(const std::size_t n, receive_into(fd.get(), part));  // the server does not speak first
    if (n == 0) break;
    answer.append(part.data(), n);
  }
  if (!answer.starts_with("HTTP/1.1 200")) return fail(ErrorKind::kFailed, "the gate answers: " + printable(answer, 100));
  return fd;
}

// ---- the other side

// Gives every connection to `each`, on its own thread; until it goes.
class Listening {
 public:
  static Result<std::unique_ptr<Listening>> start(std::function<void(sys::Fd)> each) {
    auto made = std::unique_ptr<Listening>(new Listening);
    TRY_ASSIGN(made->listener_, listen_here(made->port_));
    made->thread_ = std::thread([listener = made->listener_.get(), each = std::move(each)] {
      for (;;) {
        sys::Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) return;
        each(std::move(fd));
      }
    });
    return made;
  }
  ~Listening() {
    if (!thread_.joinable()) return;
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::uint16_t port() const { return port_; }

 private:
  Listening() = default;
  std::uint16_t port_ = 0;
  sys::Fd listener_;
  std::thread thread_;
};

// A thread a connection. Used by one thread at a time.
class Workers {
 public:
  explicit Workers(std::function<void(int)> talk) : talk_(std::move(talk)) {}
  ~Workers() {
    for (auto& worker : workers_) worker.thread.join();
  }
  void serve(sys::Fd fd) {
    std::erase_if(workers_, [](Worker& worker) { return worker.ended && (worker.thread.join(), true); });
    Worker& worker = workers_.emplace_back();
    worker.thread = std::thread([this, &worker, held = std::move(fd)]() mutable {
      talk_(held.get());
      held.reset();
      worker.ended = true;
    });
  }

 private:
  struct Worker {
    std::atomic<bool> ended{false};
    std::thread thread;
  };
  std::function<void(int)> talk_;
  std::list<Worker> workers_;
};

// "g": sends that much. "p": takes everything and answers how much it was. "e": sends back what comes. Who is gone is left.
void talk(int fd, std::size_t bytes) {
  char what = 0;
  if (const auto n = receive_into(fd, {&what, 1}); !n || *n == 0) return;
  std::string block(kBlock, 'x');
  std::size_t got = 0;
  if (what == 'g') {
    for (std::size_t left = bytes; left > 0;) {
      const std::size_t size = std::min(left, block.size());
      if (!transmit_all(fd, std::string_view(block).substr(0, size))) return;
      left -= size;
    }
  }
  while (what == 'p' || what == 'e') {
    const auto n = receive_into(fd, block);
    if (!n) return;
    if (*n == 0) break;
    got += *n;
    if (what == 'e' && !transmit_all(fd, std::string_view(block).substr(0, *n))) return;
  }
  if (what == 'p') (void)transmit_all(fd, std::to_string(got));
}

void splice_all(int from, int to) {
  auto pipe = sys::make_pipe();
  if (!pipe) return;
  const int in = pipe->write.get(), out = pipe->read.get();
  (void)::fcntl(in, F_SETPIPE_SZ, kBlock);
  for (ssize_t got; (got = ::splice(from, nullptr, in, nullptr, kBlock, SPLICE_F_MOVE)) > 0;) {
    for (ssize_t sent = 0; got > 0 && (sent = ::splice(out, nullptr, to, nullptr, static_cast<std::size_t>(got), SPLICE_F_MOVE)) > 0;) got -= sent;
    if (got > 0) break;
  }
  ::shutdown(to, SHUT_WR);
}

// The bare relay: two threads a connection that splice, blocking, from one socket to the other. No policy, no loop.
void relay(int client, std::uint16_t server) {
  auto behind = connect_here(server);
  if (!behind) return;
  const timeval never{};
  ::setsockopt(behind->get(), SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
  ::setsockopt(behind->get(), SOL_SOCKET, SO_SNDTIMEO, &never, sizeof never);
  std::thread out([&] { splice_all(client, behind->get()); });
  splice_all(behind->get(), client);
  out.join();
}

// ---- everything that is measured, in the order in which it may go: the gate first, the server last

struct Bed {
  std::unique_ptr<Workers> talking, relaying;
  std::vector<sys::Fd> held;  // by `holder`, which does nothing with them
  std::unique_ptr<Listening> server, holder, bare;
  std::unique_ptr<Gate> gate;
  std::uint16_t port = 0;  // the gate's
};

Result<Service> service(std::string_view name, std::uint16_t port) { return parse_service(name, "127.0.0.1:" + std::to_string(port)); }

Result<std::unique_ptr<Bed>> make_bed(const CostPlan& plan) {
  auto bed = std::make_unique<Bed>();
  bed->held.reserve(static_cast<std::size_t>(plan.idle) + 1);
  bed->talking = std::make_unique<Workers>([bytes = plan.bytes](int fd) { talk(fd, bytes); });
  TRY_ASSIGN(bed->server, Listening::start([to = bed->talking.get()](sys::Fd fd) { to->serve(std::move(fd)); }));
  TRY_ASSIGN(bed->holder, Listening::start([to = &bed->held](sys::Fd fd) { to->push_back(std::move(fd)); }));
  bed->relaying = std::make_unique<Workers>([port = bed->server->port()](int fd) { relay(fd, port); });
  TRY_ASSIGN(bed->bare, Listening::start([to = bed->relaying.get()](sys::Fd fd) { to->serve(std::move(fd)); }));

  GateConfig config;
  config.limits.connections_per_client = static_cast<std::size_t>(plan.idle) + 100;
  config.limits.connections = 2 * config.limits.connections_per_client;
  TRY_ASSIGN(bed->gate, Gate::start(std::move(config)));
  Policy policy;
  for (const auto& [name, port] : {std::pair{kServing, bed->server->port()}, {kHolding, bed->holder->port()}}) {
    TRY_ASSIGN(policy.services.emplace_back(), service(name, port));
  }
  bed->gate->admit(Address::v4(INADDR_LOOPBACK - HostTable::kAnyHost), {"bench", "bench", policy});
  TRY_ASSIGN(sys::Fd listener, listen_here(bed->port));
  bed->gate->serve(std::move(listener), Entrance::kExplicit, 3128);
  return bed;
}

// ---- measuring

Result<double> download(sys::Fd fd, const CostPlan& plan) {
  std::string into(kBlock, '\0');
  const auto begun = Clock::now();
  TRY(transmit_all(fd.get(), "g"));
  for (std::size_t got = 0; got < plan.bytes;) {
    TRY_ASSIGN(const std::size_t n, receive_into(fd.get(), into));
    if (n == 0) return fail(ErrorKind::kFailed, "a download ended after " + human_bytes(got));
    got += n;
  }
  return static_cast<double>(plan.bytes) / seconds_since(begun);
}

Result<double> upload(sys::Fd fd, const CostPlan& plan) {
  const std::string block(kBlock, 'x');
  const auto begun = Clock::now();
  TRY(transmit_all(fd.get(), "p"));
  for (std::size_t left = plan.bytes; left > 0;) {
    const std::size_t size = std::min(left, block.size());
    TRY(transmit_all(fd.get(), std::string_view(block).substr(0, size)));
    left -= size;
  }
  ::shutdown(fd.get(), SHUT_WR);
  std::array<char, 64> part;
  std::string answer;
  for (std::size_t n = 1; n > 0 && answer.size() < part.size(); answer.append(part.data(), n)) {
    TRY_ASSIGN(n, receive_into(fd.get(), part));
  }
  const double took = seconds_since(begun);  // the server has it all
  if (answer != std::to_string(plan.bytes)) return fail(ErrorKind::kFailed, "of an upload arrived " + printable(answer, 40) + " bytes");
  return static_cast<double>(plan.bytes) / took;
}

Result<double> round_trip(sys::Fd fd, const CostPlan& plan) {
  const std::string request(200, 'q');
  std::string answer(request.size(), '\0');
  TRY(transmit_all(fd.get(), "e"));
  const auto begun = Clock::now();
  for (int i = 0; i < plan.pairs; ++i) {
    TRY(transmit_all(fd.get(), request));
    for (std::size_t got = 0; got < answer.size();) {
      TRY_ASSIGN(const std::size_t n, receive_into(fd.get(), std::span(answer).subspan(got)));
      if (n == 0) return fail(ErrorKind::kFailed, "a connection ended before its answer");
      got += n;
    }
  }
  return seconds_since(begun) / plan.pairs;
}

Result<Ways> in_turn(const Bed& bed, const CostPlan& plan, Result<double> (*measure)(sys::Fd, const CostPlan&)) {
  Ways ways;
  const auto add = [&](std::vector<double>& samples, Result<sys::Fd> fd) -> Result<> {
    if (!fd) return fail(std::move(fd).error());
    TRY_ASSIGN(const double sample, measure(std::move(*fd), plan));
    samples.push_back(sample);
    return {};
  };
  for (int i = 0; i < plan.repeats; ++i) {
    TRY(context(add(ways.direct, connect_here(bed.server->port())), "directly"));
    TRY(context(add(ways.gate, tunnel(bed.port, kServing)), "through the gate"));
    TRY(context(add(ways.bare, connect_here(bed.bare->port())), "through a bare splice"));
  }
  return ways;
}

Result<Ways> connections(const Bed& bed, const CostPlan& plan) {
  Ways ways;
  for (int i = 0; i < plan.repeats; ++i) {
    auto begun = Clock::now();
    for (int n = 0; n < plan.connections; ++n) TRY(connect_here(bed.server->port()));
    ways.direct.push_back(seconds_since(begun) / plan.connections);
    begun = Clock::now();
    for (int n = 0; n < plan.connections; ++n) TRY(tunnel(bed.port, kServing));
    ways.gate.push_back(seconds_since(begun) / plan.connections);
  }
  return ways;
}

// smaps_rollup looks at the pages; what VmRSS says is up to some dozens of pages a thread behind.
double resident_bytes() {
  const std::string text = sys::read_file("/proc/self/smaps_rollup", 64 << 10).value_or("");
  for (const auto& line : split_lines(text)) {
    if (!line.starts_with("Rss:")) continue;
    const auto number = trim(std::string_view(line).substr(4));
    return static_cast<double>(parse_u64(number.substr(0, number.find(' '))).value_or(0)) * 1024;
  }
  return 0;
}

long open_descriptors() {
  std::error_code error;
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd", error), std::filesystem::directory_iterator());
}

// The clients and the server live in this process, too, but an idle connection is no more than a number to them.
Result<> hold_idle(const Bed& bed, const CostPlan& plan, GateCost& cost) {
  constexpr std::chrono::seconds kSettled{1};
  std::vector<sys::Fd> clients;
  clients.reserve(static_cast<std::size_t>(plan.idle));
  TRY(tunnel(bed.port, kHolding));  // what the first one ever takes is not one connection's
  std::this_thread::sleep_for(kSettled);
  const double memory = resident_bytes();
  const long descriptors = open_descriptors();
  for (int i = 0; i < plan.idle; ++i) {
    TRY_ASSIGN(clients.emplace_back(), tunnel(bed.port, kHolding));
  }
  std::this_thread::sleep_for(kSettled);
  cost.idle = plan.idle;
  cost.idle_bytes = resident_bytes() - memory;
  cost.idle_descriptors = open_descriptors() - descriptors - 2L * plan.idle;
  return {};
}

// Of the thread that calls, and of those that it starts meanwhile.
class OneCore {
 public:
  static Result<std::unique_ptr<OneCore>> take() {
    auto taken = std::unique_ptr<OneCore>(new OneCore);
    Set& before = taken->before_;
    if (::sched_getaffinity(0, sizeof before, before.data()) != 0) return fail_errno(errno, "cannot see on which processors this may run");
    std::size_t first = 0;
    while (first < 8 * sizeof before && !CPU_ISSET_S(first, sizeof before, before.data())) ++first;
    Set one{};
    CPU_SET_S(first, sizeof one, one.data());
    if (::sched_setaffinity(0, sizeof one, one.data()) != 0) return fail_errno(errno, "cannot stay on one processor");
    taken->pinned_ = true;
    return taken;
  }
  ~OneCore() {
    if (pinned_) (void)::sched_setaffinity(0, sizeof before_, before_.data());
  }

 private:
  using Set = std::array<cpu_set_t, 8>;  // one of them is 1,024 processors
  OneCore() = default;
  Set before_{};
  bool pinned_ = false;
};

}  // namespace

Result<GateCost> measure_cost(const CostPlan& plan) {
  // An idle connection: its client's, the gate's two, the server's.
  const std::size_t descriptors = 4 * static_cast<std::size_t>(plan.idle) + 512;
  if (sys::raise_descriptor_limit(descriptors) < descriptors) {
    return fail(ErrorKind::kNoSpace, "this needs " + std::to_string(descriptors) + " descriptors", "raise the hard limit: ulimit -Hn");
  }
  std::unique_ptr<OneCore> core;
  if (plan.one_core) {
    TRY_ASSIGN(core, OneCore::take());
  }
  TRY_ASSIGN(const auto bed, make_bed(plan));
  GateCost cost;
  // First: memory that something else has given back would hide what is taken.
  TRY(context(hold_idle(*bed, plan, cost), "while holding idle connections"));
  TRY_ASSIGN(cost.download, context(in_turn(*bed, plan, download), "while downloading"));
  TRY_ASSIGN(cost.upload, context(in_turn(*bed, plan, upload), "while uploading"));
  TRY_ASSIGN(cost.round_trip, context(in_turn(*bed, plan, round_trip), "while asking and answering"));
  TRY_ASSIGN(cost.connection, context(connections(*bed, plan), "while connecting"));
  return cost;
}

}  // namespace locki::gate
