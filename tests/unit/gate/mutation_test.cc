// 100,000 deterministic mutations of good inputs for each parser. Where a real fuzzer is at hand, tests/fuzz does the
// same better.
#include <gtest/gtest.h>

#include "support/mutation.h"
#include "unit/gate/hello.h"
#include "unit/gate/parser_targets.h"

namespace locki::gate {
namespace {

using test::hammer;

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
