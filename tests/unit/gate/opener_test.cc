// How clients say where they want to go, as tables. Every input comes whole and byte by byte: both must end the same way.
#include "gate/opener.h"

#include <gtest/gtest.h>

#include "gate/sniff.h"
#include "unit/gate/hello.h"

namespace locki::gate {
namespace {

using namespace std::string_literals;
using State = Opener::Step::State;

// "target HOST:PORT", "bad STATUS" or "more", then what the client was told on the way.
std::string outcome(Opener& opener, std::string_view bytes, std::size_t piece) {
  std::string received, told;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    received += bytes.substr(at, piece);
    const Opener::Step step = opener.take(received);
    received.erase(0, step.taken);
    told += step.reply;
    if (step.state == State::kTarget) return "target " + opener.head().target.to_string() + " " + told;
    if (step.state == State::kBad) return "bad " + std::to_string(step.status) + " " + told;
  }
  return "more " + told;
}

void expect(std::unique_ptr<Opener> (*make)(), std::string_view bytes, const std::string& wanted) {
  EXPECT_EQ(outcome(*make(), bytes, bytes.size()), wanted) << "whole: " << bytes;
  EXPECT_EQ(outcome(*make(), bytes, 1), wanted) << "in pieces: " << bytes;
}

const std::string kGreeted("\5\0", 2);

TEST(SocksOpener, Table) {
  const auto name = [](std::string_view host) { return "\5\1\0\5\1\0\3"s + static_cast<char>(host.size()) + std::string(host) + "\1\xbb"; };
  expect(make_socks_opener, name("a.example"), "target a.example:443 " + kGreeted);
  expect(make_socks_opener, name("A.Example"), "target a.example:443 " + kGreeted);
  expect(make_socks_opener, name("203.0.113.7"), "target 203.0.113.7:443 " + kGreeted);
  expect(make_socks_opener, "\5\2\2\0\5\1\0\1\xcb\0\x71\7\0\x50"s, "target 203.0.113.7:80 " + kGreeted);
  expect(make_socks_opener, "\5\1\0\5\1\0\4"s + std::string(15, '\0') + "\1\0\x50"s, "target [::1]:80 " + kGreeted);
  // Spellings that another parser would read in another way.
  for (const std::string& host : std::vector<std::string>{"127.1", "0x7f.1", "2130706433", "a.example.", "a..example", "a_b.example", "a\0.example"s, "a.example:80", "[::1", "::1", "", " a"})
    expect(make_socks_opener, name(host), "bad 400 " + kGreeted);
  expect(make_socks_opener, "\5\1\0\5\1\0\1\x7f\0\0\1\0\0"s, "bad 400 " + kGreeted);      // port 0
  expect(make_socks_opener, "\5\1\0\5\2\0\1\x7f\0\0\1\0\x50"s, "bad 400 " + kGreeted);    // BIND
  expect(make_socks_opener, "\5\1\0\5\3\0\1\x7f\0\0\1\0\x50"s, "bad 400 " + kGreeted);    // UDP
  expect(make_socks_opener, "\5\1\0\5\1\0\2\x7f\0\0\1\0\x50"s, "bad 400 " + kGreeted);    // no such kind of address
  expect(make_socks_opener, "\5\1\0\5\1\7\1\x7f\0\0\1\0\x50"s, "bad 400 " + kGreeted);    // reserved
  expect(make_socks_opener, "\5\1\0\4\1\0\1\x7f\0\0\1\0\x50"s, "bad 400 " + kGreeted);    // another version in between
  expect(make_socks_opener, "\4\1\0\x50\x7f\0\0\1\0"s, "bad 400 ");                       // SOCKS 4
  expect(make_socks_opener, "\5\1\2"s, "bad 400 ");                                       // only with a login
  expect(make_socks_opener, "\5\0"s, "bad 400 ");
  expect(make_socks_opener, "\5\1\0\5\1\0\3\xff" "abc"s, "more " + kGreeted);
}

TEST(SocksOpener, Answers) {
  const auto opener = make_socks_opener();
  EXPECT_EQ(opener->refused(408, ""), "\5\xff");
  ASSERT_EQ(opener->take("\5\1\0\5\1\0\3\1a\0\x50"s).state, State::kTarget);
  EXPECT_EQ(opener->accepted(), "\5\0\0\1\0\0\0\0\0\0"s);
  EXPECT_EQ(opener->refused(403, "")[1], 2);
  EXPECT_EQ(opener->refused(502, "")[1], 4);
  const auto bind = make_socks_opener();
  ASSERT_EQ(bind->take("\5\1\0\5\2\0\1\x7f\0\0\1\0\x50"s).state, State::kBad);
  EXPECT_EQ(bind->refused(400, "")[1], 7);
}

TEST(HttpOpener, Table) {
  const auto make = [] { return make_http_opener(80); };
  const auto request = [](std::string_view line, std::string_view headers) { return std::string(line) + " HTTP/1.1\r\n" + std::string(headers) + "\r\n"; };
  expect(make, request("GET /x?y", "Host: A.example\r\n"), "target a.example:80 ");
  expect(make, request("GET /x", "Host: a.example:80\r\n"), "target a.example:80 ");
  expect(make, request("GET http://a.example/x", "Host: a.example\r\n"), "target a.example:80 ");
  for (const std::string& headers : std::vector<std::string>{"", "Host: a.example\r\nHost: a.example\r\n", "Host: a.example\r\nhost: b.example\r\n", "Host:\r\n", "Host: a.example, b.example\r\n",
                                    "Host: a.example:8080\r\n", "Host: a.example:443\r\n", "Host: a.example.\r\n", "Host: user@a.example\r\n", "Host: 127.1\r\n", "Host: 0177.0.0.1\r\n",
                                    "Host: a.example\r\n x: folded\r\n", "Host : a.example\r\n", "Host: a.exa\0mple\r\n"s, "Host: a.example/\r\n", "Host: a.example:80:80\r\n",
                                    "Host: a.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Host: a.example\r\nContent-Length: 1, 1\r\n",
                                    "Host: a.example\r\nContent-Length: +1\r\n"})
    expect(make, request("GET /", headers), "bad 400 ");
  expect(make, request("GET http://b.example/", "Host: a.example\r\n"), "bad 400 ");
  expect(make, request("CONNECT a.example:443", "Host: a.example\r\n"), "bad 400 ");
  expect(make, request("GET a.example", "Host: a.example\r\n"), "bad 400 ");
  EXPECT_EQ(outcome(*make_http_opener(8080), request("GET /", "Host: a.example:8080\r\n"), 99), "target a.example:8080 ");
  EXPECT_EQ(outcome(*make_http_opener(8080), request("GET /", "Host: a.example\r\n"), 99), "bad 400 ");
}

TEST(TlsOpener, Table) {
  using namespace testing;
  const auto make = [] { return make_tls_opener(443); };
  expect(make, client_hello("api.example.org"), "target api.example.org:443 ");
  expect(make, client_hello("API.example.ORG"), "target api.example.org:443 ");
  expect(make, client_hello("xn--mnchen-3ya.example"), "target xn--mnchen-3ya.example:443 ");
  for (const std::string& name : std::vector<std::string>{"", "a.example.", "127.0.0.1", "127.1", "a\0.example"s, "a_b.example", "m\xc3\xbcnchen.example", "*.example", "a b", "[::1]"})
    expect(make, client_hello(name), "bad 400 ");
  EXPECT_EQ(outcome(*make(), records(client_hello_message(server_name_extension("a.example")), 1), 1), "target a.example:443 ");
  expect(make, "GET / HTTP/1.1\r\n\r\n", "bad 400 ");
  expect(make, records(client_hello_message(server_name_extension("a.example") + server_name_extension("b.example")), 9999), "bad 400 ");
  // A length that promises more than anybody will ever read.
  EXPECT_EQ(outcome(*make(), "\x16\x03\x01\x40\x00\x01\x00\x40\x01"s, 99), "bad 400 ");
}

TEST(TlsOpener, Alerts) {
  using namespace testing;
  const auto opener = make_tls_opener(443);
  ASSERT_EQ(opener->take(client_hello("a.example")).state, State::kTarget);
  EXPECT_EQ(opener->refused(403, ""), "\x15\x03\x03\0\2\2\x31"s);
  EXPECT_EQ(opener->refused(504, ""), "\x15\x03\x03\0\2\2\x50"s);
  const auto nameless = make_tls_opener(443);
  ASSERT_EQ(nameless->take(client_hello("")).state, State::kBad);
  EXPECT_EQ(nameless->refused(400, ""), "\x15\x03\x03\0\2\2\x70"s);
}

TEST(TransparentOpener, GuessesByWhatComesFirst) {
  EXPECT_TRUE(transparent_opener("\x16", 443).opener);
  EXPECT_TRUE(transparent_opener("GE", 80).more);
  EXPECT_TRUE(transparent_opener("GET /", 5432).opener);
  for (const std::string& text : std::vector<std::string>{"SSH-2.0-x", "\0\0\0\x8"s, "*1\r\n", "AMQP\0"s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ "}) {
    const Guess guess = transparent_opener(text, 5432);
    EXPECT_FALSE(guess.more || guess.opener) << text;
    EXPECT_TRUE(transparent_opener(text, 443).opener) << text;
    EXPECT_TRUE(transparent_opener(text, 80).opener) << text;
  }
}

}  // namespace
}  // namespace locki::gate
