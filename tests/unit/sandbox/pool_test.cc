#include "sandbox/pool.h"

#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::sandbox {
namespace {

class PoolTest : public testing::Test {
 protected:
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  std::filesystem::path file_ = dir_.path() / "spares.json";
};

TEST_F(PoolTest, GivesEachSpareOnceAndOnlyWhenReadyAndFitting) {
  Pool pool(file_);
  ASSERT_TRUE(pool.add({.instance = "a", .address = "10.77.1.1", .fits = "now"}));
  EXPECT_FALSE(*pool.take("now"));
  EXPECT_EQ(pool.ready(), 0u);
  ASSERT_TRUE(pool.note_ready("a"));
  EXPECT_EQ(pool.ready(), 1u);
  EXPECT_FALSE(*pool.take("then"));
  const auto taken = pool.take("now");
  ASSERT_TRUE(taken && *taken);
  EXPECT_EQ((*taken)->instance, "a");
  EXPECT_EQ((*taken)->address, "10.77.1.1");
  EXPECT_FALSE(*pool.take("now"));
  EXPECT_TRUE(pool.all().empty());
  EXPECT_EQ(pool.ready(), 0u);
  EXPECT_FALSE(pool.note_ready("a"));
}

TEST_F(PoolTest, OutlivesTheProcessButForTheHalfMade) {
  {
    Pool pool(file_);
    ASSERT_TRUE(pool.add({.instance = "whole", .address = "10.77.1.1", .fits = "x"}));
    ASSERT_TRUE(pool.note_ready("whole"));
    ASSERT_TRUE(pool.add({.instance = "half", .address = "10.77.1.2", .fits = "x"}));
    EXPECT_EQ(pool.all().size(), 2u);
  }
  Pool pool(file_);
  EXPECT_EQ(pool.all(), (std::vector<Spare>{{"whole", "10.77.1.1", "x", true}}));
  ASSERT_TRUE(pool.take("x"));
  EXPECT_TRUE(Pool(file_).all().empty());  // gone on the disk before anybody has it
}

TEST_F(PoolTest, ADamagedFileIsNoSpares) {
  for (const char* text : {"", "{", "[]", R"({"version":2,"spares":[]})", R"({"version":1,"spares":[1]})", R"({"version":1,"spares":[{"instance":"a"}]})"}) {
    ASSERT_TRUE(sys::write_file(file_, text));
    EXPECT_TRUE(Pool(file_).all().empty()) << text;
  }
}

TEST_F(PoolTest, WhatCannotBeSavedIsNotGiven) {
  Pool pool(dir_.path() / "absent" / "spares.json");
  EXPECT_FALSE(pool.add({.instance = "a", .address = "b", .fits = "c"}));
  EXPECT_TRUE(pool.all().empty());
}

}  // namespace
}  // namespace locki::sandbox
