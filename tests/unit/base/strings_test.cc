#include "base/strings.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/json.h"

namespace locki {
namespace {

TEST(Printable, LeavesOrdinaryTextAlone) { EXPECT_EQ(printable("naïve — ok/日本"), "naïve — ok/日本"); }

TEST(Printable, DisarmsWhatActsOnATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("\xc2\x9b" "31m"), "\\u{9b}31m");      // C1 control sequence introducer
  EXPECT_EQ(printable("\xe2\x80\xae" "x"), "\\u{202e}x");    // right-to-left override
  EXPECT_EQ(printable("\xff\xc0\x80"), "\\xff\\xc0\\x80");   // invalid UTF-8, also overlong
  EXPECT_EQ(printable("a\nb\\"), "a\\nb\\\\");
}

TEST(Printable, IsBounded) { EXPECT_EQ(printable(std::string(1000, 'a'), 3), "aaa…"); }

TEST(ParseU64, TakesDigitsOnly) {
  EXPECT_EQ(parse_u64("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "18446744073709551616", "0x1", "1e3"}) EXPECT_FALSE(parse_u64(bad)) << bad;
}

TEST(Base64, RoundTripsAndRefusesRubbish) {
  EXPECT_EQ(base64(as_bytes("hello")), "aGVsbG8=");
  EXPECT_EQ(as_text(*unbase64("aGVsbG8=")), "hello");
  EXPECT_FALSE(unbase64("aGVsbG8"));
  EXPECT_FALSE(unbase64("a GVsbG8="));
}

TEST(Hash, MatchesTheBlake2bReference) {
  // BLAKE2b with a 256-bit digest of "abc".
  EXPECT_EQ(hash_of("abc").to_hex(), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  Blake2 pieces;
  pieces.update("a");
  pieces.update("bc");
  EXPECT_EQ(pieces.finish(), hash_of("abc"));
}

TEST(Json, RefusesDepthAndWrongTypes) {
  EXPECT_FALSE(json::parse(std::string(100, '[') + std::string(100, ']')));
  const auto o = json::parse_object(R"({"a":1,"b":"x"})");
  ASSERT_TRUE(o);
  EXPECT_FALSE(json::get_string(*o, "a"));
  EXPECT_EQ(*json::get_int(*o, "a"), 1);
  EXPECT_EQ(json::get_string(*o, "c").error().kind(), ErrorKind::kProtocol);
}

}  // namespace
}  // namespace locki
