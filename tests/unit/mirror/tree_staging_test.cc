// Where a tree's half-done things lie: nobody meets them, nothing there is lost, and what will not do is not used.
#include "mirror/staging.h"

#include <gtest/gtest.h>
#include <grp.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/path_rules.h"
#include "mirror/tree.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;

Entry file(const std::string& text) { return Entry::file(text.size(), hash_of(text), false); }

Outcome put(Tree& tree, const std::string& path, const std::string& text, const std::optional<Entry>& expected) {
  auto begun = tree.begin_file(path, file(text), expected);
  if (!begun) return {.status = Outcome::Status::kFailed, .reason = begun.error().describe()};
  EXPECT_TRUE(begun->write(as_bytes(text)));
  return begun->commit();
}

std::string read(const fs::path& path) { return sys::read_file(path).value_or("(absent)"); }
void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::trunc) << text;
}
std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(directory, ignored)) names.push_back(item.path().filename());
  return names;
}

class StagingTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-staging");
    ASSERT_TRUE(made);
    temporary_.emplace(std::move(*made));
    fs::create_directories(root());
    options_.staging = {staging()};
    options_.saved = saved();
  }
  fs::path path(const std::string& name) const { return temporary_->path() / name; }
  fs::path root() const { return path("tree"); }
  fs::path staging() const { return path("staging"); }
  fs::path saved() const { return path("saved"); }
  Tree open() {
    auto tree = Tree::open(root(), options_);
    EXPECT_TRUE(tree) << tree.error().describe();
    return std::move(*tree);
  }
  // What the names of half-done things would be, while there is one.
  std::vector<std::string> half_done_beside(Tree& tree) {
    auto half = tree.begin_file("half", file("x"), std::nullopt);
    EXPECT_TRUE(half);
    return names_in(root());
  }

  std::optional<sys::TemporaryDirectory> temporary_;
  TreeOptions options_;
};

// What happened to names in a directory, in its order.
class Events {
 public:
  explicit Events(const fs::path& directory) : inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    EXPECT_GE(inotify_add_watch(inotify_.get(), directory.c_str(), IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY), 0);
  }
  void take() {
    alignas(inotify_event) char buffer[1 << 16];
    for (ssize_t size; (size = ::read(inotify_.get(), buffer, sizeof buffer)) > 0;) {
      for (char* at = buffer; at < buffer + size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(at);
        last[event->name] = event->mask;
        ++count;
        at += sizeof(inotify_event) + event->len;
      }
    }
  }
  std::size_t foreign() const {
    return static_cast<std::size_t>(
        std::count_if(last.begin(), last.end(), [](const auto& one) { return !one.first.starts_with("file"); }));
  }

  std::map<std::string, std::uint32_t> last;
  int count = 0;

 private:
  sys::Fd inotify_;
};

// Puts, replaces, removes; links, too.
void work(Tree& tree, Events& events) {
  for (int i = 0; i < 500; ++i) {
    const std::string name = "file" + std::to_string(i);
    ASSERT_TRUE(put(tree, name, "one", std::nullopt).applied());
    ASSERT_TRUE(put(tree, name, "two", file("one")).applied());
    if (i % 5 == 0) {
      ASSERT_TRUE(tree.put_symlink(name, Entry::symlink("file1"), file("two")).applied());
    } else if (i % 2 == 0) {
      ASSERT_TRUE(tree.remove(name, file("two")).applied());
    }
    events.take();
  }
}

TEST_F(StagingTest, AWatcherSeesNoOtherName) {
  auto tree = open();
  Events events(root());
  work(tree, events);
  EXPECT_EQ(events.foreign(), 0U);
  EXPECT_GE(events.last.size(), 500U);
  EXPECT_TRUE(fs::is_empty(staging()));
}

// So the test above can fail.
TEST_F(StagingTest, WithoutADirectoryItSeesThem) {
  options_.staging.clear();
  auto tree = open();
  Events events(root());
  work(tree, events);
  EXPECT_GT(events.foreign(), 500U);
}

TEST_F(StagingTest, TheLastNewsOfAReplacedFileIsThatItIsThere) {
  auto tree = open();
  ASSERT_TRUE(put(tree, "file", "one", std::nullopt).applied());
  Events events(root());
  ASSERT_TRUE(put(tree, "file", "two", file("one")).applied());
  events.take();
  EXPECT_EQ(events.count, 2);
  EXPECT_EQ(events.last["file"], static_cast<std::uint32_t>(IN_MOVED_TO));
}

TEST_F(StagingTest, TheDirectoryIsPrivateAndGoesWithTheTree) {
  {
    auto tree = open();
    ASSERT_TRUE(put(tree, "a", "x", std::nullopt).applied());
    EXPECT_EQ(fs::status(staging()).permissions(), fs::perms::owner_all);
  }
  EXPECT_FALSE(fs::exists(staging()));
  fs::create_directory(staging());
  fs::permissions(staging(), fs::perms(02777));
  auto tree = open();
  ASSERT_TRUE(put(tree, "b", "x", std::nullopt).applied());
  EXPECT_EQ(fs::status(staging()).permissions(), fs::perms::owner_all);
}

TEST_F(StagingTest, AnotherFileSystemWillNotDo) {
  auto memory = sys::TemporaryDirectory::make("/dev/shm", "locki-staging");
  if (!memory) GTEST_SKIP() << "no /dev/shm to write to";
  if (sys::Directory::open(memory->path())->stat_self()->dev == sys::Directory::open(root())->stat_self()->dev)
    GTEST_SKIP() << "/dev/shm is the file system of /tmp";
  options_.staging = {memory->path() / "staging", staging()};
  {
    auto tree = open();
    EXPECT_EQ(half_done_beside(tree), std::vector<std::string>{});
    ASSERT_TRUE(put(tree, "a", "x", std::nullopt).applied());
    EXPECT_TRUE(fs::exists(staging()));
    EXPECT_TRUE(fs::is_empty(memory->path()));
  }
  options_.staging = {memory->path() / "staging"};
  auto tree = open();
  const auto beside = half_done_beside(tree);
  ASSERT_EQ(beside.size(), 2U);
  EXPECT_TRUE(beside[0].starts_with(path_rules::kTemporaryPrefix) || beside[1].starts_with(path_rules::kTemporaryPrefix));
  ASSERT_TRUE(put(tree, "a", "y", file("x")).applied());
  ASSERT_TRUE(tree.remove("a", file("y")).applied());
  EXPECT_TRUE(fs::is_empty(root()));
}

TEST_F(StagingTest, SomebodyElsesDirectoryWillNotDo) {
  fs::create_directory(path("other"));
  fs::create_directory_symlink(path("other"), staging());
  auto tree = open();
  EXPECT_EQ(half_done_beside(tree).size(), 1U);
  EXPECT_TRUE(fs::is_empty(path("other")));
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  fs::remove(staging());
  fs::create_directory(staging());
  ASSERT_EQ(chown(staging().c_str(), 12345, 12345), 0);
  EXPECT_EQ(half_done_beside(tree).size(), 1U);
  EXPECT_TRUE(fs::is_empty(staging()));
}

// ---- after a kill ----

TEST_F(StagingTest, WhatWasTakenFromTheTreeIsKept) {
  write(staging() / "old-0123456789ab-1", "the user's");
  write(staging() / "new-0123456789ab-2", "half");
  write(staging() / "somebody's", "s");
  fs::create_symlink("x", staging() / "old-0123456789ab-3");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  EXPECT_EQ(names_in(staging()), std::vector<std::string>{"somebody's"});
  const auto kept = names_in(saved());
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(read(saved() / kept[0]), "the user's");
}

TEST_F(StagingTest, TheNewestHundredAreKept) {
  for (int i = 100; i < 205; ++i) write(saved() / ("20200101-000" + std::to_string(i)), "earlier");
  write(staging() / "old-0123456789ab-1", "the user's");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  const auto kept = names_in(saved());
  EXPECT_EQ(kept.size(), 100U);
  EXPECT_FALSE(fs::exists(saved() / "20200101-000105"));
  EXPECT_TRUE(fs::exists(saved() / "20200101-000106"));
  EXPECT_TRUE(std::any_of(kept.begin(), kept.end(), [&](const auto& name) { return read(saved() / name) == "the user's"; }));
}

TEST_F(StagingTest, KeptAcrossFileSystems) {
  auto memory = sys::TemporaryDirectory::make("/dev/shm", "locki-staging");
  if (!memory) GTEST_SKIP() << "no /dev/shm to write to";
  options_.saved = memory->path() / "saved";
  write(staging() / "old-0123456789ab-1", "the user's");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  EXPECT_TRUE(fs::is_empty(staging()));
  ASSERT_EQ(names_in(options_.saved).size(), 1U);
  EXPECT_EQ(read(options_.saved / names_in(options_.saved)[0]), "the user's");
}

TEST_F(StagingTest, InsideNothingIsKept) {
  options_.saved.clear();
  write(staging() / "old-0123456789ab-1", "x");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  EXPECT_TRUE(fs::is_empty(staging()));
}

// Killed when the old version has left its name, and the user had written it in that very moment.
TEST_F(StagingTest, AnEditInTheMomentOfTheExchangeSurvivesAKill) {
  {
    auto tree = open();
    ASSERT_TRUE(put(tree, "f", "one", std::nullopt).applied());
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    setenv("LOCKI_FAULT", "tree.exchanged", 1);
    auto tree = Tree::open(root(), options_);
    if (tree) (void)put(*tree, "f", "two", file("one"));
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto left = names_in(staging());
  ASSERT_EQ(left.size(), 1U);
  // Who has the file open writes into it wherever its name is by then.
  write(staging() / left[0], "the user's edit");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  EXPECT_EQ(read(root() / "f"), "two");
  ASSERT_EQ(names_in(saved()).size(), 1U);
  EXPECT_EQ(read(saved() / names_in(saved())[0]), "the user's edit");
}

// ---- inside ----

class StagingInside : public StagingTest {
 protected:
  void SetUp() override {
    StagingTest::SetUp();
    options_.staging = {".git/locki-staging", staging_beside(root())};
    options_.saved.clear();
  }
  fs::path inner() const { return root() / ".git/locki-staging"; }
  fs::path beside() const { return path(".tree.locki-staging"); }
};

TEST_F(StagingInside, ItIsInTheRepositoryOnceThereIsOne) {
  {
    auto tree = open();
    ASSERT_TRUE(put(tree, "a", "x", std::nullopt).applied());
    EXPECT_TRUE(fs::exists(beside()));
    EXPECT_FALSE(fs::exists(root() / ".git"));
    // One that has begun goes on where it is.
    auto begun = tree.begin_file("b", file("x"), std::nullopt);
    ASSERT_TRUE(begun && begun->write(as_bytes("x")));
    fs::create_directory(root() / ".git");
    ASSERT_TRUE(put(tree, "c", "x", std::nullopt).applied());
    EXPECT_TRUE(fs::exists(inner()));
    EXPECT_TRUE(begun->commit().applied());
  }
  EXPECT_FALSE(fs::exists(beside()));
  EXPECT_TRUE(fs::is_empty(root() / ".git"));
}

TEST_F(StagingInside, TheRepositoryMayBeTakenAwayAtAnyTime) {
  fs::create_directory(root() / ".git");
  auto tree = open();
  ASSERT_TRUE(put(tree, "a", "x", std::nullopt).applied());
  auto begun = tree.begin_file("a", file("y"), file("x"));
  ASSERT_TRUE(begun && begun->write(as_bytes("y")));
  fs::remove_all(root() / ".git");
  EXPECT_EQ(begun->commit().status, Outcome::Status::kFailed);
  EXPECT_EQ(read(root() / "a"), "x");
  EXPECT_TRUE(put(tree, "a", "y", file("x")).applied());
  fs::create_directory(root() / ".git");
  EXPECT_TRUE(put(tree, "a", "z", file("y")).applied());
  EXPECT_TRUE(tree.remove("a", file("z")).applied());
}

TEST_F(StagingInside, NoSymlinkIsFollowed) {
  fs::create_directories(path("elsewhere/locki-staging"));
  fs::create_directory_symlink(path("elsewhere"), root() / ".git");
  auto tree = open();
  auto begun = tree.begin_file("a", file("y"), std::nullopt);
  ASSERT_TRUE(begun);
  EXPECT_TRUE(fs::is_empty(path("elsewhere/locki-staging")));
  EXPECT_EQ(names_in(beside()).size(), 1U);
  fs::remove(root() / ".git");
  fs::create_directory(root() / ".git");
  fs::create_directory_symlink(path("elsewhere"), inner());
  auto second = tree.begin_file("b", file("y"), std::nullopt);
  ASSERT_TRUE(second);
  EXPECT_EQ(names_in(path("elsewhere")).size(), 1U);
  EXPECT_EQ(names_in(beside()).size(), 2U);
  // A file, as in a worktree of another repository.
  fs::remove_all(root() / ".git");
  write(root() / ".git", "gitdir: /elsewhere");
  EXPECT_TRUE(put(tree, "c", "y", std::nullopt).applied());
  EXPECT_EQ(read(root() / ".git"), "gitdir: /elsewhere");
}

// ---- what a file gets from where it is made ----

TEST_F(StagingTest, ADirectoryHandsOnItsGroup) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a second group";
  constexpr gid_t kTeam = 23456;
  constexpr uid_t kUser = 12345;
  fs::create_directory(root() / "shared");
  for (const auto& at : {temporary_->path(), root(), root() / "shared"}) ASSERT_EQ(chown(at.c_str(), kUser, kUser), 0);
  ASSERT_EQ(chown((root() / "shared").c_str(), kUser, kTeam), 0);
  fs::permissions(root() / "shared", fs::perms(02775));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const gid_t groups[] = {kTeam};
    if (setgroups(1, groups) != 0 || setresgid(kUser, kUser, kUser) != 0 || setresuid(kUser, kUser, kUser) != 0) _exit(2);
    auto tree = Tree::open(root(), options_);
    const bool done = tree && put(*tree, "shared/new", "x", std::nullopt).applied() &&
                      put(*tree, "own", "x", std::nullopt).applied() && names_in(staging()).empty();
    _exit(done ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 0);
  const auto top = *sys::Directory::open(root());
  EXPECT_EQ(top.stat("shared/new")->gid, kTeam);
  EXPECT_EQ(top.stat("own")->gid, kUser);
}

}  // namespace
}  // namespace locki::mirror
