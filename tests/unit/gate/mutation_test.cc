// 100,000 deterministic mutations of good inputs for each parser. Where a real fuzzer is at hand, tests/fuzz does the
// same better.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "unit/gate/hello.h"
#include "unit/gate/parser_targets.h"

namespace locki::gate {
namespace {

constexpr int kRounds = 100'000;

std::string mutated(std::string text, std::mt19937& random) {
  using namespace std::string_view_literals;
  static constexpr std::string_view kInteresting = "\0\r\n\t .:-_@/%[]0x\xff\x16\x03*#\\"sv;
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % (n == 0 ? 1 : n)); };
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
    const std::size_t at = below(text.size() + 1);
    switch (below(6)) {
      case 0:
        text.insert(at, 1, kInteresting[below(kInteresting.size())]);
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 2:
        text.erase(at, below(8));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(16)));
        break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      default:
        text.resize(below(2) == 0 ? at : text.size());
        break;
    }
  }
  return text;
}

void hammer(const std::vector<std::string>& seeds, void (*target)(std::string_view)) {
  for (const std::string& seed : seeds) target(seed);
  std::mt19937 random(20240217);
  std::string text;
  for (int i = 0; i < kRounds; ++i) {
    // Mostly fresh, sometimes a mutation of a mutation.
    if (i % 4 == 0 || text.size() > 4096) text = seeds[random() % seeds.size()];
    text = mutated(std::move(text), random);
    target(text);
  }
}

TEST(Mutation, Hosts) {
  hammer({"api.example.org", "a.b-c.d:8080", "[2001:db8::1]:443", "192.0.2.1:80", "xn--mnchen-3ya.example", "127.1",
          "0x7f.1", "https://u:p@a.example:1/x"},
         testing::host_target);
}

TEST(Mutation, HttpHeads) {
  hammer({"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nrest",
          "GET http://a.example/x?y HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: y\r\n\r\n",
          "POST http://a.example:8080/ HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
          "POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
          "HTTP/1.1 200 Connection established\r\nA: b\r\n\r\n"},
         testing::http_target);
}

TEST(Mutation, ClientHellos) {
  using namespace testing;
  hammer({client_hello("api.example.org"), client_hello(""),
          records(client_hello_message(server_name_extension("a.example")), 20)},
         sniff_target);
}

TEST(Mutation, Openers) {
  using namespace testing;
  hammer({client_hello("api.example.org"), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", std::string("\5\1\0\5\1\0\3\1a\0\x50", 11),
          std::string("\5\1\0\5\1\0\1\xcb\0\x71\1\1\xbb", 13), "CONNECT a.example:443 HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n"},
         opener_target);
}

TEST(Mutation, Rules) {
  hammer({"allow .example.org\ndeny a.example:443 # x\n", "allow [2001:db8::1]:*\nallow *.b.example\n",
          "allow 203.0.113.7\n", "registry=https://a.example/\nindex-url = http://b.example\n",
          "deb [a=b] http://a.example x main\nURIs: http://b.example\n c\n", "GOPROXY=https://a.example,direct|x\n"},
         testing::rules_target);
}

}  // namespace
}  // namespace locki::gate
