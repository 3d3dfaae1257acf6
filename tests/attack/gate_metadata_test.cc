// A cloud's metadata service hands out the host's credentials to whoever connects. Here is one, in a network namespace of the test's own in which its addresses
// lead to a listener: names that resolve to it, and rules that allow it, must bring nobody there. A program of its own, because it changes its namespace.
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "gate/socket_ops.h"
#include "unit/gate/net_fixture.h"

namespace locki::gate {
namespace {

using namespace testing;
using namespace std::string_literals;

bool add_address(int fd, const std::string& name, const char* address, const char* mask) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1));
  sockaddr_in in{};
  in.sin_family = AF_INET;
  ::inet_pton(AF_INET, address, &in.sin_addr);
  std::memcpy(&request.ifr_addr, &in, sizeof in);
  if (::ioctl(fd, SIOCSIFADDR, &request) != 0) return false;
  ::inet_pton(AF_INET, mask, &in.sin_addr);
  std::memcpy(&request.ifr_netmask, &in, sizeof in);
  return ::ioctl(fd, SIOCSIFNETMASK, &request) == 0;
}

// With a prefix on the loopback interface every address in it is reachable without being one of the host's own, which are refused for another reason.
std::string enter_a_cloud() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return "no network namespace can be made here: "s + std::strerror(errno);
  const sys::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq up{};
  std::memcpy(up.ifr_name, "lo", 3);
  up.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool done = fd && ::ioctl(fd.get(), SIOCSIFFLAGS, &up) == 0 && add_address(fd.get(), "lo:0", "169.254.0.1", "255.255.0.0") &&
                    add_address(fd.get(), "lo:1", "100.100.100.1", "255.255.255.0") && add_address(fd.get(), "lo:2", "192.0.0.1", "255.255.255.0") &&
                    add_address(fd.get(), "lo:3", "203.0.113.1", "255.255.255.0");
  return done ? "" : "the namespace cannot be given addresses: "s + std::strerror(errno);
}

const std::vector<std::string> kServices = {"169.254.169.254", "169.254.170.2", "169.254.169.123", "100.100.100.200", "192.0.0.192"};
constexpr const char* kPublic = "203.0.113.5";

// Counts by the address that was called, on port 80.
class MetadataService {
 public:
  MetadataService() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(80);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0) << std::strerror(errno);
    EXPECT_EQ(::listen(fd_.get(), 64), 0);
    thread_ = std::thread([this] {
      while (sys::Fd caught{::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)}) {
        const std::string called = called_address(caught.get()).value_or(Address{}).to_string();
        {
          const std::lock_guard lock(mutex_);
          ++calls_[called];
        }
        // Whoever has the answer finds the call counted.
        (void)transmit(caught.get(), "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\ncredentials");
      }
    });
  }
  ~MetadataService() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::map<std::string, int> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  sys::Fd fd_;
  mutable std::mutex mutex_;
  std::map<std::string, int> calls_;
  std::thread thread_;
};

class Metadata : public GateTest {};

TEST_F(Metadata, NobodyReachesIt) {
  if (const std::string why = enter_a_cloud(); !why.empty()) GTEST_SKIP() << why;
  MetadataService service;
  policy.mode = Mode::kOpen;
  std::vector<std::string> hosts;
  for (const std::string& each : kServices) {
    const std::string name = "m" + std::to_string(hosts.size()) + ".example";
    const Address address = Address::parse(each).value();
    resolver->names[name] = {each};
    resolver->names["v6." + name] = {"::ffff:" + each};
    policy.rules.push_back(parse_rule_target(true, each + ":*", "").value());
    hosts.insert(hosts.end(), {name, "v6." + name, each, "[::ffff:" + each + "]"});
    ASSERT_TRUE(forbidden(address)) << each;
  }
  resolver->names["mixed.example"] = {"169.254.169.254", "::ffff:169.254.170.2"};
  resolver->names["public.example"] = {kPublic};
  hosts.push_back("mixed.example");
  policy.rules.push_back(parse_rule_target(true, ".example:*", "").value());
  start();
  const std::uint16_t http = transparent(80);
  for (const std::string& host : hosts) {
    EXPECT_FALSE(ask("CONNECT " + host + ":80 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 2")) << host;
    EXPECT_TRUE(ask("GET http://" + host + "/latest/ HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403 ")) << host;
    Peer peer = Peer::connect(http);
    peer.send("GET /latest/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    EXPECT_TRUE(peer.receive_all().starts_with("HTTP/1.1 403 ")) << host;
    const std::string socks = ask("\5\1\0\5\1\0\3"s + static_cast<char>(host.size()) + host + "\0\x50"s);
    EXPECT_TRUE(socks.size() >= 4 && socks[3] != 0) << host;
  }
  EXPECT_TRUE(service.calls().empty());
  // It is there, and the gate leads to what is beside it.
  EXPECT_NE(ask("GET http://public.example/ HTTP/1.1\r\n\r\n").find("credentials"), std::string::npos);
  for (const std::string& each : kServices) {
    auto direct = start_connect(Address::parse(each).value(), 80);
    ASSERT_TRUE(direct) << each;
    pollfd wait{.fd = direct->fd.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&wait, 1, 5000), 1) << each;
  }
  EXPECT_EQ(service.calls().size(), kServices.size() + 1);
}

}  // namespace
}  // namespace locki::gate
