#include "gate/sniff.h"

#include <gtest/gtest.h>

#include "unit/gate/hello.h"

namespace locki::gate {
namespace {

using namespace testing;
using State = Sniffed::State;

TEST(Sniff, FindsTheServerName) {
  const Sniffed sniffed = sniff_client_hello(client_hello("api.example.org"));
  EXPECT_EQ(sniffed.state, State::kHello) << sniffed.reason;
  EXPECT_EQ(sniffed.server_name, "api.example.org");
}

TEST(Sniff, AHelloWithoutAServerNameIsOne) {
  const Sniffed sniffed = sniff_client_hello(client_hello(""));
  EXPECT_EQ(sniffed.state, State::kHello);
  EXPECT_EQ(sniffed.server_name, "");
}

TEST(Sniff, EveryPrefixWantsMoreAndSaysHowMuch) {
  const std::string whole = client_hello("api.example.org");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Sniffed sniffed = sniff_client_hello(std::string_view(whole).substr(0, size));
    ASSERT_EQ(sniffed.state, State::kMore) << size;
    ASSERT_GT(sniffed.need, size);
    ASSERT_LE(sniffed.need, whole.size());
  }
}

TEST(Sniff, AHelloMaySpreadOverManyRecords) {
  for (std::size_t fragment : {1u, 2u, 3u, 7u, 50u}) {
    const std::string bytes = records(client_hello_message(server_name_extension("a.example.org")), fragment);
    const Sniffed sniffed = sniff_client_hello(bytes);
    EXPECT_EQ(sniffed.state, State::kHello) << fragment;
    EXPECT_EQ(sniffed.server_name, "a.example.org");
  }
}

TEST(Sniff, WhatIsNotTlsIsTold) {
  for (std::string_view bytes : {"GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\x15\x03\x01", "\x16\x02\x01"})
    EXPECT_EQ(sniff_client_hello(bytes).state, State::kNotTls);
}

TEST(Sniff, ABrokenFormIsRefused) {
  const std::string two_names = server_name_extension("a.example.org") + server_name_extension("b.example.org");
  const std::string two_in_list =
      number(0, 2) + vec(vec(number(0, 1) + vec("a.example", 2) + number(0, 1) + vec("b.example", 2), 2), 2);
  const std::string other_type = number(0, 2) + vec(vec(number(1, 1) + vec("a.example", 2), 2), 2);
  const std::string empty_name = number(0, 2) + vec(vec(number(0, 1) + vec("", 2), 2), 2);
  const std::string behind = number(0, 2) + vec(vec(number(0, 1) + vec("a", 2), 2) + "x", 2);
  const std::string cut = number(0, 2) + number(500, 2) + "x";
  for (const std::string& extensions : {two_names, two_in_list, other_type, empty_name, behind, cut})
    EXPECT_EQ(sniff_client_hello(records(client_hello_message(extensions), 1 << 14)).state, State::kMalformed);
  // Another message, an alert in between, a second message in the same record, an empty or oversized record, a hello
  // that never ends.
  EXPECT_EQ(sniff_client_hello(records("\x02" + vec("xxxx", 3), 100)).state, State::kMalformed);
  const std::string message = client_hello_message(server_name_extension("a.example"));
  EXPECT_EQ(sniff_client_hello(records(message.substr(0, 20), 100) + "\x15\x03\x01" + vec("xx", 2)).state,
            State::kMalformed);
  EXPECT_EQ(sniff_client_hello(records(message + message, 1 << 14)).state, State::kMalformed);
  EXPECT_EQ(sniff_client_hello("\x16\x03\x01" + number(0, 2)).state, State::kMalformed);
  EXPECT_EQ(sniff_client_hello("\x16\x03\x01" + number(0xffff, 2)).state, State::kMalformed);
  EXPECT_EQ(sniff_client_hello(records("\x01" + number(0xffffff, 3), 100)).state, State::kMalformed);
}

}  // namespace
}  // namespace locki::gate
