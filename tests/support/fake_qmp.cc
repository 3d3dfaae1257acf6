#include "support/fake_qmp.h"

#include <sys/socket.h>

namespace locki::test {

FakeQmp::FakeQmp(Script script, std::string greeting) {
  auto pair = sys::make_socketpair();
  client_ = std::move(pair->a);
  server_ = std::move(pair->b);
  thread_ = std::thread([this, script = std::move(script), greeting = std::move(greeting)] { serve(script, greeting); });
}

FakeQmp::~FakeQmp() {
  ::shutdown(server_.get(), SHUT_RDWR);
  thread_.join();
}

void FakeQmp::serve(const Script& script, const std::string& greeting) {
  if (!sys::write_all(server_.get(), greeting)) return;
  std::string buffered;
  for (;;) {
    std::uint8_t chunk[4096];
    const auto n = sys::read_some(server_.get(), chunk, sizeof chunk);
    if (!n || *n == 0) return;
    buffered.append(reinterpret_cast<const char*>(chunk), *n);
    for (auto end = buffered.find('\n'); end != std::string::npos; end = buffered.find('\n')) {
      const auto request = json::parse_object(buffered.substr(0, end));
      buffered.erase(0, end + 1);
      std::string answer = script(json::string_or(*request, "execute"));
      const std::string id = std::to_string(json::int_or(*request, "id"));
      for (auto at = answer.find("ID"); at != std::string::npos; at = answer.find("ID", at)) answer.replace(at, 2, id);
      if (answer.empty()) ::shutdown(server_.get(), SHUT_RDWR);
      if (answer.empty() || !sys::write_all(server_.get(), answer)) return;
    }
  }
}

}  // namespace locki::test
