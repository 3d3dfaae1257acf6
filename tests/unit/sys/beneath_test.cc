// Hostile trees: whatever is a symlink, and whenever it becomes one, nothing outside is read, made or removed.
#include "sys/beneath.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "sys/file.h"

namespace locki::sys {
namespace {

namespace fs = std::filesystem;

class Beneath : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    force_component_walk(GetParam());
    auto made = TemporaryDirectory::make(fs::temp_directory_path(), "locki-beneath");
    ASSERT_TRUE(made) << made.error().describe();
    temporary_.emplace(std::move(*made));
    fs::create_directories(root() / "a/b");
    fs::create_directories(outside() / "b");
    std::ofstream(root() / "a/file") << "inside";
    std::ofstream(outside() / "file") << "secret";
    auto opened = Directory::open(root());
    ASSERT_TRUE(opened) << opened.error().describe();
    directory_ = std::move(*opened);
  }
  void TearDown() override { force_component_walk(false); }
  fs::path root() const { return temporary_->path() / "root"; }
  fs::path outside() const { return temporary_->path() / "outside"; }

  std::optional<TemporaryDirectory> temporary_;
  Directory directory_;
};

INSTANTIATE_TEST_SUITE_P(Methods, Beneath, testing::Values(false, true), [](const auto& method) {
  return method.param ? std::string("walk") : std::string("openat2");
});

TEST_P(Beneath, OpensWhatIsInside) {
  auto file = directory_.open_file("a/file");
  ASSERT_TRUE(file) << file.error().describe();
  EXPECT_EQ(*read_all(file->fd.get(), 100), "inside");
  EXPECT_EQ(file->stat.size, 6u);
  EXPECT_TRUE(directory_.stat("a/b")->is_directory());
  EXPECT_EQ(directory_.open_file("a/none").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(directory_.open_file("a/file/below").error().kind(), ErrorKind::kNotFound);
}

TEST_P(Beneath, SaysWhetherThereIsAnything) {
  fs::create_symlink(outside(), root() / "link");
  fs::create_symlink("nowhere", root() / "a/dangling");
  for (const char* path : {"a", "a/file", "link", "a/dangling"}) EXPECT_TRUE(directory_.exists(path).value_or(false)) << path;
  for (const char* path : {"none", "a/none", "none/none"}) EXPECT_FALSE(directory_.exists(path).value_or(true)) << path;
  // Not through symlinks.
  EXPECT_EQ(directory_.exists("link/file").error().kind(), ErrorKind::kPermission);
}

TEST_P(Beneath, RefusesPathsThatAreNotPlain) {
  for (const char* path : {"", "..", "a/..", "a/../../outside/file", "/etc/passwd", "a//file", "./a", "a/.", "a/"}) {
    EXPECT_FALSE(directory_.open_file(path)) << path;
    EXPECT_FALSE(directory_.spot(path)) << path;
  }
  EXPECT_FALSE(directory_.open_file(std::string_view("a/fi\0le", 7)));
}

TEST_P(Beneath, RefusesSymlinksInEveryPosition) {
  fs::create_symlink(outside(), root() / "link");
  fs::create_symlink("a", root() / "inner");
  fs::create_symlink(outside() / "file", root() / "a/last");
  EXPECT_EQ(directory_.open_file("link/file").error().kind(), ErrorKind::kPermission);
  EXPECT_EQ(directory_.open_file("inner/file").error().kind(), ErrorKind::kPermission);
  EXPECT_FALSE(directory_.open_file("a/last"));
  EXPECT_FALSE(directory_.open_directory("link"));
  EXPECT_FALSE(directory_.make_directories("link/new"));
  EXPECT_FALSE(directory_.spot("link/file"));
  EXPECT_FALSE(fs::exists(outside() / "new"));
  EXPECT_TRUE(directory_.stat("link")->is_symlink());
  EXPECT_EQ(*directory_.read_link("inner"), "a");
}

TEST_P(Beneath, NeverBlocksOnAFifoAndOpensRegularFilesOnly) {
  ASSERT_EQ(mkfifo((root() / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(directory_.open_file("fifo").error().kind(), ErrorKind::kPermission);
  EXPECT_FALSE(directory_.open_file("a"));
}

TEST_P(Beneath, RenamesAndRemovesWithoutReplacing) {
  auto file = directory_.spot("a/file");
  ASSERT_TRUE(file);
  const auto fresh = *file->beside("new");
  ASSERT_TRUE(fresh.create_file(0600));
  EXPECT_EQ(fresh.create_file(0600).error().kind(), ErrorKind::kExists);
  EXPECT_EQ(fresh.rename_new(*file).error().kind(), ErrorKind::kExists);
  EXPECT_TRUE(fresh.exchange(*file));
  EXPECT_EQ(*read_file(root() / "a/new"), "inside");
  EXPECT_EQ(file->beside("..")->remove_directory().error().kind(), ErrorKind::kProtocol);
  EXPECT_EQ(directory_.spot("a")->remove_directory().error().kind(), ErrorKind::kExists);
}

TEST_P(Beneath, MovesBetweenDirectories) {
  fs::create_directories(root() / "b");
  const auto file = *directory_.spot("a/file");
  const auto there = *directory_.spot("b/there");
  ASSERT_TRUE(file.rename_new(there));
  EXPECT_EQ(*read_file(root() / "b/there"), "inside");
  std::ofstream(root() / "a/file") << "second";
  EXPECT_EQ(file.rename_new(there).error().kind(), ErrorKind::kExists);
  ASSERT_TRUE(file.exchange(there));
  EXPECT_EQ(*read_file(root() / "b/there"), "second");
  ASSERT_TRUE(file.rename_over(there));
  EXPECT_EQ(*read_file(root() / "b/there"), "inside");
  EXPECT_EQ(file.exchange(there).error().kind(), ErrorKind::kNotFound);
}

TEST_P(Beneath, KnowsWhereNothingCanBeMoved) {
  fs::create_directories(root() / "b");
  EXPECT_TRUE(can_move_between(*directory_.open_directory("a"), *directory_.open_directory("b")));
  EXPECT_TRUE(can_move_between(directory_, directory_));
  EXPECT_EQ(std::distance(fs::directory_iterator(root() / "a"), fs::directory_iterator()), 2);
  EXPECT_TRUE(fs::is_empty(root() / "b"));
  auto memory = TemporaryDirectory::make("/dev/shm", "locki-beneath");
  if (!memory) GTEST_SKIP() << "no /dev/shm to write to";
  const auto elsewhere = *Directory::open(memory->path());
  if (elsewhere.stat_self()->dev == directory_.stat_self()->dev) GTEST_SKIP() << "/dev/shm is the file system of /tmp";
  EXPECT_FALSE(can_move_between(elsewhere, directory_));
  EXPECT_EQ(directory_.spot("a/file")->rename_new(*elsewhere.spot("x")).error().kind(), ErrorKind::kUnavailable);
}

// A directory and a symlink to the outside trade places all the time.
TEST_P(Beneath, IsNotLedOutsideByARace) {
  fs::create_directories(root() / "d");
  fs::create_symlink(outside(), root() / "evil");
  std::ofstream(root() / "d/file") << "inside";
  std::atomic<bool> stop{false};
  std::thread racer([&] {
    const auto spot = *directory_.spot("d"), evil = *directory_.spot("evil");
    while (!stop) (void)spot.exchange(evil);
  });
  int opened = 0;
  for (int i = 0; i < 3000; ++i) {
    if (auto file = directory_.open_file("d/file")) {
      ++opened;
      ASSERT_EQ(*read_all(file->fd.get(), 100), "inside");
    }
    if (auto spot = directory_.make_spot("d/made/here" + std::to_string(i))) {
      if (auto fd = spot->create_file(0600)) ++opened;
    }
  }
  stop = true;
  racer.join();
  EXPECT_GT(opened, 0);
  EXPECT_FALSE(fs::exists(outside() / "made"));
}

}  // namespace
}  // namespace locki::sys
