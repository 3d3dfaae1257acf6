// Real sockets on 127.0.0.1 for the gate's tests: a server whose behaviour is a function, a client with deadlines, a
// resolver made of a map.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gate/gate.h"

namespace locki::gate::testing {

inline sys::Fd listen_local(std::uint16_t& port, std::uint32_t host = INADDR_LOOPBACK) {
  sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd.get(), 512), 0);
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

// What another thread is about to make true.
inline bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// Every read waits at most 10 s, so a broken gate fails a test instead of hanging it.
class Peer {
 public:
  explicit Peer(sys::Fd fd) : fd_(std::move(fd)) {
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  static Peer connect(std::uint16_t port, int receive_buffer = 0, std::uint32_t host = INADDR_LOOPBACK) {
    sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_buffer > 0) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host);
    address.sin_port = htons(port);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return Peer(std::move(fd));
  }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // "" at the end or when the connection breaks.
  std::string receive(std::size_t at_most = 65536) {
    std::string text(at_most, '\0');
    const ssize_t n = ::recv(fd_.get(), text.data(), text.size(), 0);
    broken_ = n < 0;
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }
  std::string receive_exactly(std::size_t size) {
    std::string all;
    while (all.size() < size) {
      const std::string part = receive(size - all.size());
      if (part.empty()) break;
      all += part;
    }
    return all;
  }
  std::string receive_until(std::string_view mark) {
    std::string all;
    while (all.find(mark) == all.npos) {
      const std::string part = receive(1);
      if (part.empty()) break;
      all += part;
    }
    return all;
  }
  std::string receive_all() {
    std::string all;
    for (std::string part = receive(); !part.empty(); part = receive()) all += part;
    return all;
  }
  bool broken() const { return broken_; }  // the last receive() saw a reset or its deadline, not an orderly end
  void end() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

 private:
  sys::Fd fd_;
  bool broken_ = false;
};

class Server {
 public:
  explicit Server(std::function<void(Peer&)> behaviour)
      : behaviour_(std::move(behaviour)), listener_(listen_local(port_)) {
    thread_ = std::thread([this] {
      for (;;) {
        sys::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) return;
        ++connections_;
        workers_.emplace_back([this, held = fd.release()] {
          Peer peer{sys::Fd(held)};
          behaviour_(peer);
        });
      }
    });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& each : workers_) each.join();
  }
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  std::function<void(Peer&)> behaviour_;
  std::uint16_t port_ = 0;
  sys::Fd listener_;
  std::atomic<int> connections_{0};
  std::vector<std::thread> workers_;
  std::thread thread_;
};

inline void echo(Peer& peer) {
  for (std::string part = peer.receive(); !part.empty(); part = peer.receive())
    if (!peer.send(part)) return;
  peer.end();
}

class FakeResolver : public Resolver {
 public:
  std::map<std::string, std::vector<std::string>> names;
  bool hang = false;
  void resolve(std::string name, Done done) override {
    if (hang) return;
    const auto found = names.find(name);
    if (found == names.end())
      return done(fail(ErrorKind::kNotFound, "the name cannot be resolved: unknown to the test"));
    std::vector<Address> addresses;
    for (const std::string& each : found->second) addresses.push_back(Address::parse(each).value());
    done(addresses);
  }
};

// A gate with everything around it. Configure, then start().
class GateTest : public ::testing::Test {
  // Before the gate, which adds records for as long as it lives.
  std::mutex mutex_;
  std::vector<AuditRecord> records_;

 protected:
  void start() {
    config.resolver = resolver;
    config.on_record = [this](const AuditRecord& record) {
      const std::lock_guard lock(mutex_);
      records_.push_back(record);
    };
    auto started = Gate::start(config);
    ASSERT_TRUE(started) << started.error().describe();
    gate = std::move(*started);
    update(policy);
    listener = gate->serve(listen_local(port), Entrance::kExplicit, 3128);
  }
  // Who calls 127.0.0.1 is the client "test".
  void update(Policy now) { gate->admit(Address::v4(INADDR_LOOPBACK - HostTable::kAnyHost), {"test-id", "test", std::move(now)}); }
  // Another listener, to which clients believe that port belongs.
  std::uint16_t transparent(std::uint16_t called) {
    std::uint16_t real = 0;
    gate->serve(listen_local(real), Entrance::kTransparent, called);
    return real;
  }
  // A connection to the address that stands for these hosts' last one, as tools make it after they looked the name up.
  Peer called_by_name(const std::set<std::string>& hosts, std::uint16_t called) {
    HostTable table;
    EXPECT_TRUE(table.add(hosts).empty());
    gate->name_hosts(table);
    const auto at = static_cast<std::uint32_t>(INADDR_LOOPBACK - HostTable::kAnyHost + HostTable::kFirstHost + hosts.size() - 1);
    std::uint16_t real = 0;
    gate->serve(listen_local(real, at), Entrance::kTransparent, called);
    return Peer::connect(real, 0, at);
  }
  void service(std::string_view name, std::uint16_t target) {
    policy.services.push_back(
        parse_service(std::string(name) + ".locki.internal", "127.0.0.1:" + std::to_string(target)).value());
  }
  void rules(std::string_view text) { policy.rules = parse_rules(text, "").value(); }
  Peer client(int receive_buffer = 0) { return Peer::connect(port, receive_buffer); }
  Peer tunnel(const std::string& target) {
    Peer peer = client();
    peer.send("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n");
    const std::string answer = peer.receive_until("\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
    return peer;
  }
  std::string ask(const std::string& request) {
    Peer peer = client();
    peer.send(request);
    return peer.receive_all();
  }
  // Waits for a record, because the gate writes it on its own thread.
  AuditRecord record(AuditRecord::Event event) {
    for (int i = 0; i < 1000; ++i) {
      {
        const std::lock_guard lock(mutex_);
        for (const AuditRecord& each : records_)
          if (each.event == event) return each;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "no such record: " << to_string(event);
    return {};
  }
  bool none_open_soon() {
    return soon([this] { return gate->stats().open == 0; });
  }

  GateConfig config;
  Policy policy;
  std::shared_ptr<FakeResolver> resolver = std::make_shared<FakeResolver>();
  std::unique_ptr<Gate> gate;
  Gate::ListenerId listener = 0;
  std::uint16_t port = 0;
};

}  // namespace locki::gate::testing
