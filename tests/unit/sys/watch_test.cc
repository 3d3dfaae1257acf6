#include "sys/watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "sys/beneath.h"
#include "sys/file.h"

namespace locki::sys {
namespace {

namespace fs = std::filesystem;

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::make(fs::temp_directory_path(), "locki-watch");
    ASSERT_TRUE(made);
    temporary_.emplace(std::move(*made));
    fs::create_directories(root() / "sub/deep");
    fs::create_directories(root() / "sub-other");
    auto watcher = TreeWatcher::make();
    ASSERT_TRUE(watcher);
    watcher_.emplace(std::move(*watcher));
    for (const char* path : {"", "sub", "sub/deep", "sub-other"}) add(path);
  }
  const fs::path& root() const { return temporary_->path(); }
  void add(const std::string& path) {
    auto directory = Directory::open(path.empty() ? root() : root() / path);
    ASSERT_TRUE(directory);
    ASSERT_TRUE(watcher_->add(path, directory->fd()));
  }
  std::optional<TemporaryDirectory> temporary_;
  std::optional<TreeWatcher> watcher_;
};

TEST_F(Watch, NamesWhatChangedRelativeToTheRoot) {
  std::ofstream(root() / "top") << "x";
  std::ofstream(root() / "sub/deep/file") << "x";
  EXPECT_TRUE(*wait_readable(watcher_->fd(), std::chrono::seconds(5)));
  const auto report = watcher_->drain();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->dirty, (std::set<std::string>{"top", "sub/deep/file"}));
  EXPECT_FALSE(report->overflow);
  EXPECT_TRUE(watcher_->drain()->dirty.empty());
}

TEST_F(Watch, ForgetsWhatIsMovedAwayButNotItsNamesakes) {
  fs::rename(root() / "sub", root() / "moved");
  EXPECT_EQ(watcher_->drain()->dirty, (std::set<std::string>{"sub", "moved"}));
  EXPECT_EQ(watcher_->count(), 2U);  // the root and sub-other
  std::ofstream(root() / "moved/deep/file") << "x";
  std::ofstream(root() / "sub-other/file") << "x";
  EXPECT_EQ(watcher_->drain()->dirty, (std::set<std::string>{"sub-other/file"}));
  add("moved/deep");
  std::ofstream(root() / "moved/deep/again") << "x";
  EXPECT_EQ(watcher_->drain()->dirty, (std::set<std::string>{"moved/deep/again"}));
}

TEST_F(Watch, ReportsThatTheRootIsGone) {
  fs::rename(root(), root().native() + ".away");
  EXPECT_TRUE(watcher_->drain()->root_gone);
  fs::rename(root().native() + ".away", root());
}

TEST_F(Watch, ReportsLostEvents) {
  std::string text = *read_file("/proc/sys/fs/inotify/max_queued_events");
  const std::size_t limit = std::stoul(text);
  if (limit > 200'000) GTEST_SKIP() << "the queue holds " << limit << " events: too many to fill";
  // Alternating names, since equal events in a row are merged.
  for (std::size_t i = 0; i <= limit / 2; ++i) {
    std::ofstream(root() / "one") << "x";
    std::ofstream(root() / "two") << "x";
  }
  EXPECT_TRUE(watcher_->drain()->overflow);
  EXPECT_FALSE(watcher_->drain()->overflow);
}

TEST_F(Watch, TooManyDirtyPathsAreAnOverflow) {
  for (int i = 0; i < 20; ++i) std::ofstream(root() / std::to_string(i)) << "x";
  EXPECT_TRUE(watcher_->drain(10)->overflow);
}

}  // namespace
}  // namespace locki::sys
