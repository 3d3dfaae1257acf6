// A far end that plays the agent on a unix socket.
#include "vm/qemu/guest_agent.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "sys/file.h"
#include "sys/socket.h"

namespace locki::vm {
namespace {

using namespace std::chrono_literals;

class Agent : public testing::Test {
 protected:
  // Answers each request line with what `script` makes of it; "" says nothing.
  void play(std::function<std::string(const json::object&)> script) {
    listener_ = *sys::listen_unix(path_);
    thread_ = std::thread([this, script = std::move(script)] {
      auto fd = sys::accept_connection(listener_.get());
      std::string got;
      for (;;) {
        std::uint8_t chunk[4096];
        const auto n = sys::read_some(fd->get(), chunk, sizeof chunk);
        if (!n || *n == 0) return;
        got.append(reinterpret_cast<char*>(chunk), *n);
        for (std::size_t end = 0; (end = got.find('\n')) != std::string::npos; got.erase(0, end + 1)) {
          std::string line = got.substr(0, end);
          if (line.starts_with('\xff')) line.erase(0, 1);
          const auto request = json::parse_object(line);
          const std::string reply = request ? script(*request) : "";
          if (!reply.empty() && !sys::write_all(fd->get(), reply)) return;
        }
      }
    });
  }
  void TearDown() override {
    if (thread_.joinable()) thread_.join();
  }
  static std::string sync(const json::object& request) {
    if (json::string_or(request, "execute") != "guest-sync-delimited") return "";
    return "\xff{\"return\": " + std::to_string(json::int_or(*json::object_or_null(request, "arguments"), "id")) + "}\n";
  }

  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  std::filesystem::path path_ = dir_.path() / "agent.sock";
  sys::Fd listener_;
  std::thread thread_;
};

TEST_F(Agent, SetsTheClock) {
  std::int64_t set = 0;
  play([&](const json::object& request) {
    if (auto answer = sync(request); !answer.empty()) return "{\"return\": 7}\n" + answer;  // an old answer comes first
    set = json::int_or(*json::object_or_null(request, "arguments"), "time");
    return std::string("{\"error\": {\"class\": \"GenericError\", \"desc\": \"hwclock failed\"}}\n");
  });
  {
    auto agent = GuestAgent::connect(path_);
    ASSERT_TRUE(agent && agent->send_time());
    EXPECT_TRUE(agent->await_time(2s));
  }
  thread_.join();
  EXPECT_NEAR(static_cast<double>(set) / 1e9, static_cast<double>(::time(nullptr)), 5);
}

TEST_F(Agent, WaitsForTheDisks) {
  int asked = 0;
  play([&](const json::object& request) -> std::string {
    if (auto answer = sync(request); !answer.empty()) return answer;
    if (json::string_or(request, "execute") == "guest-exec") return "{\"return\": {\"pid\": 42}}\n";
    return ++asked < 3 ? "{\"return\": {\"exited\": false}}\n" : "{\"return\": {\"exited\": true, \"exitcode\": 0}}\n";
  });
  EXPECT_TRUE(GuestAgent::connect(path_)->write_disks(2s));
}

TEST_F(Agent, RunsAProgramToItsEnd) {
  for (const int status : {0, 3}) {
    std::string arguments;
    play([&](const json::object& request) -> std::string {
      if (auto answer = sync(request); !answer.empty()) return answer;
      if (json::string_or(request, "execute") == "guest-exec") {
        arguments = json::serialize(*json::object_or_null(request, "arguments"));
        return "{\"return\": {\"pid\": 42}}\n";
      }
      return "{\"return\": {\"exited\": true, \"exitcode\": " + std::to_string(status) + "}}\n";
    });
    EXPECT_EQ(GuestAgent::connect(path_)->run("/bin/sh", {"-c", "exit \"$1\"\n"}, 2s).has_value(), status == 0);
    thread_.join();
    EXPECT_EQ(arguments, R"({"path":"/bin/sh","arg":["-c","exit \"$1\"\n"]})");
    listener_.reset();
    std::filesystem::remove(path_);
  }
}

TEST_F(Agent, AHostileOneEndsInAnError) {
  const std::string answers[] = {"", "{\"return\": {}}\n", "{\"return\": 1}\n", "\x1b]0;x\n", std::string(100'000, 'x'), "{\"error\": {\"desc\": \"\x1b[2J\"}}\n"};
  for (const auto& text : answers) {
    play([&](const json::object& request) {
      auto answer = sync(request);
      return answer.empty() ? text : answer;
    });
    const auto done = GuestAgent::connect(path_)->write_disks(200ms);
    ASSERT_FALSE(done) << text.substr(0, 40);
    EXPECT_EQ(done.error().describe().find('\x1b'), std::string::npos);
    thread_.join();
    listener_.reset();
    std::filesystem::remove(path_);
  }
}

}  // namespace
}  // namespace locki::vm
