#include "mirror/history.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::mirror {
namespace {

class HistoryTest : public ::testing::Test {
 protected:
  History open() { return std::move(*History::open(program_, store())); }
  std::filesystem::path store() const { return directory_.path() / "history"; }
  Entry put(const std::string& path, const std::string& content, bool executable = false) {
    EXPECT_TRUE(sys::make_directories((directory_.path() / "tree" / path).parent_path()).has_value());
    EXPECT_TRUE(sys::write_file(directory_.path() / "tree" / path, content).has_value());
    return Entry::file(content.size(), hash_of(content), executable);
  }
  History::Opener opener() {
    return [this](const std::string& path) { return sys::open_file(directory_.path() / "tree" / path, O_RDONLY); };
  }

  sys::TemporaryDirectory directory_ =
      std::move(*sys::TemporaryDirectory::make(std::filesystem::temp_directory_path(), "locki-history"));
  git::Program program_ = *git::find_git();
};

TEST_F(HistoryTest, VersionsAndTheirContents) {
  auto history = open();
  EXPECT_TRUE(history.list()->empty());
  const Entry first = put("a", "one"), program = put("d/\"odd\" näme", "#!", true);
  ASSERT_TRUE(
      history
          .record({{"a", first}, {"d", Entry::directory()}, {"d/\"odd\" näme", program}, {"l", Entry::symlink("a")}},
                  opener())
          .has_value());
  EXPECT_TRUE(history.has("a", first));
  const Entry second = put("a", "two");
  ASSERT_TRUE(
      history.record({{"a", second}, {"d", std::nullopt}, {"d/\"odd\" näme", std::nullopt}}, opener()).has_value());
  EXPECT_FALSE(history.has("a", first));
  const auto versions = *history.list();
  ASSERT_EQ(versions.size(), 2u);
  EXPECT_EQ(*history.read("", "a", 100), "two");
  EXPECT_EQ(*history.read(versions[1].id, "a", 100), "one");
  EXPECT_EQ(*history.read(versions[1].id, "l", 100), "a");
  const auto tree = *history.tree(versions[1].id);
  EXPECT_TRUE(tree.at("d/\"odd\" näme").executable);
  EXPECT_EQ(tree.at("l").kind, EntryKind::kSymlink);
  EXPECT_EQ(tree.at("a").size, 3u);
  EXPECT_FALSE(history.tree("")->contains("d"));
  EXPECT_FALSE(history.read(versions[0].id, "d/\"odd\" näme", 100).has_value());
  EXPECT_FALSE(history.read("--help", "a", 100).has_value());
}

TEST_F(HistoryTest, NothingNewIsNoVersion) {
  auto history = open();
  const Entry entry = put("a", "one");
  ASSERT_TRUE(history.record({{"a", entry}}, opener()).has_value());
  ASSERT_TRUE(history.record({{"a", entry}}, opener()).has_value());
  EXPECT_EQ(history.list()->size(), 1u);
}

TEST_F(HistoryTest, LargeFilesAndKinds) {
  auto history = open();
  const std::string large(3 << 20, 'x');
  const Entry entry = put("big", large);
  ASSERT_TRUE(history.record({{"big", entry}}, opener()).has_value());
  EXPECT_EQ(hash_of(*history.read("", "big", 8 << 20)), entry.content);
  EXPECT_FALSE(history.read("", "big", 1000).has_value());
  // A file gives way to a directory of its name, and back.
  std::filesystem::remove(directory_.path() / "tree/big");
  const Entry below = put("big/x", "x");
  ASSERT_TRUE(history.record({{"big", Entry::directory()}, {"big/x", below}}, opener()).has_value());
  EXPECT_EQ(*history.read("", "big/x", 10), "x");
  std::filesystem::remove_all(directory_.path() / "tree/big");
  const Entry again = put("big", "small");
  ASSERT_TRUE(history.record({{"big", again}, {"big/x", std::nullopt}}, opener()).has_value());
  EXPECT_EQ(*history.read("", "big", 10), "small");
}

TEST_F(HistoryTest, KeptVersions) {
  auto history = open();
  const Entry entry = put("a", "the agent's");
  const auto fd = opener()("a");
  const auto version = history.keep("dir/a", entry, fd->get(), "changed on both sides");
  ASSERT_TRUE(version.has_value()) << version.error().describe();
  EXPECT_EQ(*history.read(*version, "dir/a", 100), "the agent's");
  const auto versions = *history.list();
  ASSERT_EQ(versions.size(), 1u);
  EXPECT_EQ(versions[0].kept_path, "dir/a");
  EXPECT_NE(versions[0].summary.find("changed on both sides"), std::string::npos);
}

TEST_F(HistoryTest, KnowsWhatItHasWhenOpenedAgain) {
  const Entry one = put("a", "one"), two = put("b", "two");
  {
    auto history = open();
    ASSERT_TRUE(history.record({{"a", one}}, opener()).has_value());
    ASSERT_TRUE(history.tidy().has_value());
    // Killed before it could write its index again.
    ASSERT_TRUE(history.record({{"b", two}}, opener()).has_value());
  }
  // What a killed git leaves.
  ASSERT_TRUE(sys::write_file(store() / "refs/heads/states.lock", "").has_value());
  auto history = open();
  EXPECT_TRUE(history.has("a", one));
  EXPECT_FALSE(history.has("b", two));
  const Entry three = put("c", "three");
  ASSERT_TRUE(history.record({{"b", two}, {"c", three}}, opener()).has_value());
  EXPECT_EQ(*history.read("", "c", 10), "three");
}

TEST_F(HistoryTest, ReadersFindNoneOrTheSame) {
  EXPECT_EQ(History::open_existing(program_, store()).error().kind(), ErrorKind::kNotFound);
  ASSERT_TRUE(open().record({{"a", put("a", "x")}}, opener()).has_value());
  EXPECT_EQ(History::open_existing(program_, store())->list()->size(), 1u);
}

}  // namespace
}  // namespace locki::mirror
