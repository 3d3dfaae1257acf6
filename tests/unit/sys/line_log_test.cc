#include "sys/line_log.h"

#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::sys {
namespace {

class LineLogTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_ = TemporaryDirectory::make("/tmp", "locki-test").value();
  fs::path path_ = directory_.path() / "x.jsonl";
};

TEST_F(LineLogTest, RotatesAndKeepsAFew) {
  LineLog log = LineLog::open(path_, 2000, 2).value();
  for (int i = 0; i < 300; ++i) log.write("this is line " + std::to_string(i));
  EXPECT_TRUE(fs::exists(path_.string() + ".1"));
  EXPECT_TRUE(fs::exists(path_.string() + ".2"));
  EXPECT_FALSE(fs::exists(path_.string() + ".3"));
  for (const std::string& name : {path_.string(), path_.string() + ".1", path_.string() + ".2"}) EXPECT_LE(fs::file_size(name), 2000u);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  // Also across the rotation.
  const auto lines = last_lines(path_, 100).value();
  ASSERT_EQ(lines.size(), 100u);
  EXPECT_EQ(lines.back(), "this is line 299");
  EXPECT_EQ(lines.front(), "this is line 200");
}

TEST_F(LineLogTest, WritesNoCredential) {
  LineLog log = LineLog::open(path_).value();
  log.write("{\"host\":\"npm_" + std::string(36, 'x') + ".example\"}");
  EXPECT_EQ(read_file(path_).value(), "{\"host\":\"npm_[redacted].example\"}\n");
}

TEST_F(LineLogTest, AnAbsentLogHasNoLines) { EXPECT_TRUE(last_lines(path_, 5).value().empty()); }

}  // namespace
}  // namespace locki::sys
