#include "gate/host.h"

#include <gtest/gtest.h>

namespace locki::gate {
namespace {

TEST(Host, NamesComeOutInLowerCase) {
  EXPECT_EQ(parse_host("WWW.Example.ORG").value().name, "www.example.org");
  EXPECT_EQ(parse_host("a").value().name, "a");
  EXPECT_EQ(parse_host("1a.2.b3").value().name, "1a.2.b3");
  EXPECT_EQ(parse_host("xn--mnchen-3ya.example").value().name, "xn--mnchen-3ya.example");
  EXPECT_TRUE(parse_host(std::string(63, 'a') + ".org"));
}

TEST(Host, WhatIsNotANameIsRefused) {
  const std::string long_label = std::string(64, 'a') + ".org";
  std::string long_name;
  for (int i = 0; i < 50; ++i) long_name += "abcde.";
  long_name += "org";
  for (std::string text :
       {std::string(), std::string("."), std::string("a."), std::string(".a"), std::string("a..b"), std::string("-a.b"),
        std::string("a-.b"), std::string("a_b.c"), std::string("a b"), std::string("a\0b", 3), std::string("a\nb"),
        std::string("a/b"), std::string("a@b"), std::string("m\xc3\xbcnchen.example"), std::string("a%2eb"),
        std::string("a:b"), std::string("a\\b"), long_label, long_name})
    EXPECT_FALSE(parse_host(text)) << text;
}

TEST(Host, LiteralsAreSeenAndOnlyInTheirPlainForm) {
  EXPECT_TRUE(parse_host("192.0.2.1").value().address);
  EXPECT_EQ(parse_host("[2001:DB8::0:1]").value().name, "2001:db8::1");
  for (const char* text :
       {"127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.0.0.0x1", "1.2.3.4.5", "example.0x",
        "example.123", "[::1", "::1", "[127.0.0.1]", "[::1%lo]", "[]", "256.256.256.256"})
    EXPECT_FALSE(parse_host(text)) << text;
}

TEST(Endpoint, Ports) {
  EXPECT_EQ(parse_endpoint("a.example:65535").value().port, 65535);
  EXPECT_EQ(parse_endpoint("a.example", 80).value().port, 80);
  EXPECT_EQ(parse_endpoint("[2001:db8::1]:443").value().to_string(), "[2001:db8::1]:443");
  for (const char* text : {"a.example", "a.example:", "a.example:0", "a.example:00080", "a.example:080",
                           "a.example:65536", "a.example:+80", "a.example: 80", "a.example:80:80", "[2001:db8::1]443",
                           "2001:db8::1:443", ":443", "[2001:db8::1", "a.example:8o"})
    EXPECT_FALSE(parse_endpoint(text)) << text;
}

TEST(Url, OnlyWhatIsNeededFromConfiguration) {
  const UrlParts parts = parse_url("HTTPS://us%40er:pw@Npm.Example.com/a/b?c").value();
  EXPECT_EQ(parts.scheme, "https");
  EXPECT_EQ(parts.endpoint.to_string(), "npm.example.com:443");
  EXPECT_EQ(parts.user_info, "us%40er:pw");
  EXPECT_EQ(parse_url("http://a.example:8081").value().endpoint.port, 8081);
  EXPECT_FALSE(parse_url("file:///x"));
  EXPECT_FALSE(parse_url("a.example"));
  EXPECT_FALSE(parse_url("http:///x"));
}

}  // namespace
}  // namespace locki::gate
