#include "mirror/base_store.h"

#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::mirror {
namespace {

class BaseStoreTest : public ::testing::Test {
 protected:
  BaseStore open() { return std::move(*BaseStore::open(directory_.path() / "state")); }
  std::filesystem::path file(const char* name) const { return directory_.path() / "state" / name; }
  static Entry entry(const std::string& content) { return Entry::file(content.size(), hash_of(content)); }

  sys::TemporaryDirectory directory_ =
      std::move(*sys::TemporaryDirectory::make(std::filesystem::temp_directory_path(), "locki-base"));
};

TEST_F(BaseStoreTest, ComesBackWithoutAnOrderlyEnd) {
  {
    auto base = open();
    ASSERT_TRUE(base.reset("instance", "").has_value());
    ASSERT_TRUE(base.set("a", entry("1")).has_value());
    ASSERT_TRUE(base.set("b", Entry::symlink("a")).has_value());
    ASSERT_TRUE(base.set("a", entry("2")).has_value());
    ASSERT_TRUE(base.set("b", std::nullopt).has_value());
    ASSERT_TRUE(base.set_tip(std::string(40, 'a')).has_value());
  }
  for (int i = 0; i < 2; ++i) {
    const auto base = open();
    EXPECT_EQ(base.state(), (State{{"a", entry("2")}}));
    EXPECT_EQ(base.tip(), std::string(40, 'a'));
    EXPECT_EQ(base.instance(), "instance");
  }
}

TEST_F(BaseStoreTest, ATornJournalLosesOnlyItsEnd) {
  {
    auto base = open();
    ASSERT_TRUE(base.set("a", entry("1")).has_value());
    ASSERT_TRUE(base.set("b", entry("2")).has_value());
  }
  const std::string journal = *sys::read_file(file("base.journal"));
  const std::size_t second = (journal.size() - 21) / 2;  // behind the generation, two records of one size
  const std::string snapshot = *sys::read_file(file("base"));
  for (std::size_t cut = 0; cut < journal.size(); ++cut) {
    ASSERT_TRUE(sys::write_file(file("base"), snapshot).has_value());
    ASSERT_TRUE(sys::write_file(file("base.journal"), journal.substr(0, cut)).has_value());
    const auto base = open();
    EXPECT_FALSE(base.state().contains("b")) << cut;
    EXPECT_EQ(base.state().contains("a"), cut + second >= journal.size()) << cut;
  }
}

TEST_F(BaseStoreTest, ADamagedSnapshotCountsAsNothingAgreed) {
  {
    auto base = open();
    ASSERT_TRUE(base.set("a", entry("1")).has_value());
    ASSERT_TRUE(base.compact(true).has_value());
  }
  std::string bytes = *sys::read_file(file("base"));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  ASSERT_TRUE(sys::write_file(file("base"), bytes).has_value());
  EXPECT_TRUE(open().state().empty());
  EXPECT_TRUE(std::filesystem::exists(file("base.broken")));
}

TEST(StoredState, DamageIsFound) {
  const std::string good = encode_stored({{{"a", Entry::directory()}, {"l", Entry::symlink("t")}}, "x", "y"});
  ASSERT_TRUE(decode_stored(good).has_value());
  EXPECT_EQ(decode_stored(good)->state.at("l"), Entry::symlink("t"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    EXPECT_FALSE(decode_stored(bad).has_value()) << i;
    EXPECT_FALSE(decode_stored(good.substr(0, i)).has_value()) << i;
  }
}

}  // namespace
}  // namespace locki::mirror
