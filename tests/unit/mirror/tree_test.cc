// Scanning with git's ignore rules, and applying to trees that somebody else changes at the same time.
#include "mirror/tree.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "base/path_rules.h"
#include "mirror/tree_ignore.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;

class TreeTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);  // as every locki program does
    auto made = sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-tree");
    ASSERT_TRUE(made);
    temporary_.emplace(std::move(*made));
    fs::create_directories(root());
    options_.git = *sys::find_program("git");
    options_.git_environment = sys::clean_environment();
    options_.git_environment["HOME"] = temporary_->path().native();
    options_.git_environment["GIT_CONFIG_NOSYSTEM"] = "1";
    options_.cache = temporary_->path() / "cache";
  }
  fs::path root() const { return temporary_->path() / "tree"; }
  void git(std::vector<std::string> args) {
    sys::ProcessSpec spec{
        .program = options_.git, .args = std::move(args), .environment = options_.git_environment, .directory = root()};
    const auto done = sys::run_ok(std::move(spec));
    ASSERT_TRUE(done) << done.error().describe();
  }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root() / path).parent_path());
    std::ofstream(root() / path, std::ios::trunc) << text;
  }
  std::string read(const std::string& path) { return sys::read_file(root() / path).value_or("(absent)"); }
  Tree open() {
    auto tree = Tree::open(root(), options_);
    EXPECT_TRUE(tree) << tree.error().describe();
    return std::move(*tree);
  }
  static std::set<std::string> paths(const State& state) {
    std::set<std::string> all;
    for (const auto& [path, entry] : state) all.insert(path);
    return all;
  }
  static Entry file(const std::string& text, bool executable = false) {
    return Entry::file(text.size(), hash_of(text), executable);
  }
  static Outcome put(Tree& tree, const std::string& path, const std::string& text, const std::optional<Entry>& expected,
                     bool executable = false) {
    std::string_view left = text;
    return tree.put_file(
        path, file(text, executable),
        [&left](std::uint8_t* data, std::size_t size) -> Result<std::size_t> {
          const std::size_t n = std::min(size, left.size());
          std::memcpy(data, left.data(), n);
          left.remove_prefix(n);
          return n;
        },
        expected);
  }

  std::optional<sys::TemporaryDirectory> temporary_;
  TreeOptions options_;
};

// ---- scanning ----

TEST_F(TreeTest, ScansKindsModesAndContents) {
  write("a/file", "text");
  write("run", "#!/bin/sh\n");
  fs::permissions(root() / "run", fs::perms(0755));
  fs::create_directories(root() / "empty");
  fs::create_symlink("a/file", root() / "link");
  auto tree = open();
  const auto state = tree.scan();
  ASSERT_TRUE(state) << state.error().describe();
  const State expected{{"a", Entry::directory()},
                       {"a/file", file("text")},
                       {"empty", Entry::directory()},
                       {"link", Entry::symlink("a/file")},
                       {"run", file("#!/bin/sh\n", true)}};
  EXPECT_EQ(*state, expected);
}

TEST_F(TreeTest, LeavesOutWhatGitIgnoresButNotWhatItTracks) {
  git({"init", "-q"});
  write(".gitignore", "*.o\nbuild/\n");
  write("build/kept", "tracked");
  write("build/other", "ignored");
  write("only/x.o", "ignored");
  write("src/a.c", "x");
  write("src/a.o", "ignored");
  git({"add", "-f", "build/kept"});
  auto tree = open();
  EXPECT_EQ(paths(*tree.scan()),
            (std::set<std::string>{".gitignore", "build", "build/kept", "only", "src", "src/a.c"}));

  // Incrementally the same, also in a directory that held ignored files only.
  write("only/new.c", "x");
  write("only/new.o", "x");
  write("fresh/deep/a.o", "x");
  write("fresh/deep/a.c", "x");
  write("build/more", "x");
  const auto changes = tree.rescan({"only/new.c", "only/new.o", "fresh", "build/more", "build/kept"});
  ASSERT_TRUE(changes) << changes.error().describe();
  std::set<std::string> changed;
  for (const Change& change : *changes) changed.insert(change.path);
  EXPECT_EQ(changed, (std::set<std::string>{"fresh", "fresh/deep", "fresh/deep/a.c", "only/new.c"}));
  EXPECT_EQ(tree.state(), *open().scan());
}

TEST_F(TreeTest, ANewIgnoreRuleDeletesNothingAndHidesWhatIsNew) {
  git({"init", "-q"});
  write("notes.txt", "mine");
  write("logs/old", "x");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  write(".gitignore", "*.txt\nlogs\n");
  write("more.txt", "hidden");
  write("logs/new", "hidden");
  const auto changes = tree.rescan({".gitignore", "more.txt", "logs/new"});
  ASSERT_TRUE(changes);
  EXPECT_EQ(*changes, (std::vector<Change>{{".gitignore", file("*.txt\nlogs\n")}}));
  // What was agreed still travels.
  write("notes.txt", "changed");
  write("logs/old", "changed");
  EXPECT_EQ(tree.rescan({"notes.txt", "logs/old"})->size(), 2U);

  // After a restart the other side says what was agreed.
  auto again = open();
  again.keep({"notes.txt", "logs", "logs/old"});
  EXPECT_EQ(paths(*again.scan()), (std::set<std::string>{".gitignore", "logs", "logs/old", "notes.txt"}));
}

TEST_F(TreeTest, IncludesAndExcludesGoBeforeTheRules) {
  git({"init", "-q"});
  write(".gitignore", "dist\nsecret\n");
  write("dist/out", "x");
  write("dist/deep/out", "x");
  write("secret/key", "x");
  write("private/diary", "x");
  options_.include = {"dist/deep"};
  options_.exclude = {"private"};
  EXPECT_EQ(paths(*open().scan()), (std::set<std::string>{".gitignore", "dist", "dist/deep", "dist/deep/out"}));
}

// The sandbox edits .gitignore, or commits a file of that name: the host's own ignored file must still not travel.
TEST_F(TreeTest, HoldsWhatWasIgnoredOnce) {
  options_.hold_ignored = true;
  git({"init", "-q"});
  write(".gitignore", ".env\n");
  write(".env", "PASSWORD=1");
  {
    auto tree = open();
    EXPECT_EQ(paths(*tree.scan()), (std::set<std::string>{".gitignore"}));
    write(".gitignore", "");
    EXPECT_EQ(tree.rescan({".gitignore", ".env"})->size(), 1U);
  }
  git({"add", "-f", ".env"});
  auto tree = open();
  EXPECT_EQ(paths(*tree.scan()), (std::set<std::string>{".gitignore"}));
  const Outcome outcome = put(tree, ".env", "PASSWORD=2", std::nullopt);
  EXPECT_EQ(outcome.status, Outcome::Status::kFailed);
  EXPECT_FALSE(outcome.actual);  // not even its hash
  EXPECT_EQ(read(".env"), "PASSWORD=1");
}

TEST_F(TreeTest, RulesCountWithoutARepository) {
  write(".gitignore", "*.o\n");
  write("a.o", "x");
  write("a.c", "x");
  EXPECT_EQ(paths(*open().scan()), (std::set<std::string>{".gitignore", "a.c"}));
}

TEST_F(TreeTest, LeavesOutRepositoriesAndWhatCannotTravel) {
  git({"init", "-q"});
  write("inner/.git/HEAD", "x");
  write("inner/file", "x");
  write("worktree/.git", "gitdir: /elsewhere");
  write("case/.GIT/config", "x");
  ASSERT_EQ(mkfifo((root() / "fifo").c_str(), 0600), 0);
  fs::create_symlink("/etc/passwd", root() / "absolute");
  fs::create_symlink("../outside", root() / "up");
  write("suid", "x");
  fs::permissions(root() / "suid", fs::perms(04755));
  write("bad\nname", "x");
  write("large", std::string(2000, 'x'));
  options_.max_file = 1000;
  auto tree = open();
  EXPECT_EQ(paths(*tree.scan()), (std::set<std::string>{"case"}));
  std::set<std::string> skipped;
  for (const auto& [path, reason] : tree.skipped()) skipped.insert(path);
  EXPECT_EQ(skipped, (std::set<std::string>{"inner", "worktree", "case/.GIT", "fifo", "absolute", "up", "suid",
                                            "bad\nname", "large"}));
}

TEST_F(TreeTest, WhatBecomesARepositoryOrTooLargeIsNotReportedAsDeleted) {
  git({"init", "-q"});
  write("lib/a", "x");
  write("data", "x");
  options_.max_file = 1000;
  auto tree = open();
  const State before = *tree.scan();
  write("lib/.git/HEAD", "x");
  write("data", std::string(2000, 'x'));
  EXPECT_TRUE(tree.rescan({"lib/.git", "data"})->empty());
  EXPECT_EQ(*tree.scan(), before);
}

TEST_F(TreeTest, IncrementalEqualsFullThroughRandomChanges) {
  git({"init", "-q"});
  write(".gitignore", "*.o\nignored\n");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  std::mt19937 random(7);
  const std::vector<std::string> names{"a", "b", "ignored", "c.o", "d"};
  const auto pick = [&] { return names[random() % names.size()]; };
  for (int round = 0; round < 40; ++round) {
    std::set<std::string> dirty;
    for (int step = 0; step < 4; ++step) {
      std::string path = pick();
      for (auto depth = random() % 3; depth > 0; --depth) path += "/" + pick();
      std::error_code ignored;
      switch (random() % 4) {
        case 0:
          fs::remove_all(root() / path, ignored);
          break;
        case 1:
          fs::create_directories(root() / path, ignored);
          break;
        default:
          fs::create_directories((root() / path).parent_path(), ignored);
          std::ofstream(root() / path) << random();
      }
      dirty.insert(path);  // as a watcher would say it: each directory on the way may be new
      for (std::string_view up = parent_of(path); !up.empty(); up = parent_of(up)) dirty.emplace(up);
    }
    ASSERT_TRUE(tree.rescan(dirty));
    auto fresh = open();
    const auto scanned = fresh.scan();
    ASSERT_TRUE(scanned);
    ASSERT_EQ(tree.state(), *scanned) << "round " << round;
  }
}

TEST_F(TreeTest, ReadsUnchangedFilesOnlyOnce) {
  write("a", "one");
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  { ASSERT_TRUE(open().scan()); }
  // Changed behind the cache's back, with size and modification time as they were: ctime gives it away.
  fs::last_write_time(root() / "a", old);
  { EXPECT_EQ(open().scan()->at("a"), file("one")); }
  write("a", "two");
  fs::last_write_time(root() / "a", old);
  EXPECT_EQ(open().scan()->at("a"), file("two"));
}

TEST_F(TreeTest, AGoneRootIsNotAnEmptyTree) {
  write("a", "x");
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  fs::rename(root(), root().native() + "2");
  EXPECT_EQ(tree.scan().error().kind(), ErrorKind::kUnavailable);
  fs::create_directories(root());  // another directory of the same name
  EXPECT_EQ(tree.scan().error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(tree.rescan({"a"}).value_or(std::vector<Change>{}).size(), 0U);
  EXPECT_EQ(tree.state().size(), 1U);
  EXPECT_FALSE(put(tree, "b", "x", std::nullopt).applied());
}

TEST_F(TreeTest, ScansTwentyThousandFiles) {
  git({"init", "-q"});
  for (int d = 0; d < 200; ++d)
    for (int f = 0; f < 100; ++f)
      write("d" + std::to_string(d) + "/f" + std::to_string(f), std::to_string(d * 100 + f));
  std::size_t listed = 0;
  options_.before_listing = [&](std::string_view, int) { ++listed; };
  auto tree = open();
  const auto cpu = [] {
    double total = 0;
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage usage{};
      getrusage(who, &usage);
      for (const timeval& t : {usage.ru_utime, usage.ru_stime})
        total += static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
    }
    return total;
  };
  // Shown in passing; speed is measured by a benchmark.
  const auto time = [&](const char* what) {
    const auto start = std::chrono::steady_clock::now();
    const double cpu_start = cpu();
    EXPECT_EQ(tree.scan()->size(), 20'200U);
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
    printf("%s: %lld ms, %.0f ms of CPU with git's\n", what, static_cast<long long>(took.count()), cpu() - cpu_start);
  };
  time("first scan of 20,000 files");
  EXPECT_EQ(listed, 201U);
  time("second scan");
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  time("third scan (no longer racy, hashes once more)");
  time("fourth scan (from the cache)");
}

// ---- applying ----

// With unfinished files in a directory of their own, and beside their targets.
class Applying : public TreeTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    TreeTest::SetUp();
    if (GetParam()) options_.staging = {staging()};
  }
  fs::path staging() const { return temporary_->path() / "staging"; }
  bool has_leftovers() {
    if (fs::exists(staging()) && !fs::is_empty(staging())) return true;
    for (const auto& item : fs::recursive_directory_iterator(root()))
      if (item.path().filename().native().starts_with(path_rules::kTemporaryPrefix)) return true;
    return false;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, Applying, testing::Bool(), [](const auto& one) { return one.param ? "Aside" : "Beside"; });

TEST_P(Applying, PutsFilesUnderPreconditions) {
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  EXPECT_TRUE(put(tree, "new/deep/file", "one", std::nullopt).applied());
  EXPECT_EQ(read("new/deep/file"), "one");
  EXPECT_TRUE(put(tree, "new/deep/file", "one", std::nullopt).applied());  // it is so already
  EXPECT_TRUE(put(tree, "new/deep/file", "two", file("one"), true).applied());
  EXPECT_EQ(fs::status(root() / "new/deep/file").permissions() & fs::perms::owner_exec, fs::perms::owner_exec);

  write("new/deep/file", "human");
  const Outcome lost = put(tree, "new/deep/file", "three", file("two", true));
  EXPECT_EQ(lost.status, Outcome::Status::kConflict);
  EXPECT_EQ(lost.actual, file("human", true));
  EXPECT_EQ(read("new/deep/file"), "human");
  EXPECT_EQ(put(tree, "new/deep/file", "x", std::nullopt).status, Outcome::Status::kConflict);
  EXPECT_EQ(put(tree, "absent", "x", file("y")).status, Outcome::Status::kConflict);
  EXPECT_FALSE(put(tree, "absent", "x", file("y")).actual);
  EXPECT_FALSE(has_leftovers());
}

TEST_P(Applying, VerifiesContent) {
  auto tree = open();
  Entry announced = file("hello");
  bool given = false;
  const auto source = [&](std::uint8_t* data, std::size_t) -> Result<std::size_t> {
    if (std::exchange(given, true)) return 0U;
    std::memcpy(data, "HELLO", 5);
    return 5U;
  };
  EXPECT_EQ(tree.put_file("f", announced, source, std::nullopt).status, Outcome::Status::kFailed);
  announced.size = 3;
  given = false;
  EXPECT_EQ(tree.put_file("f", announced, source, std::nullopt).status, Outcome::Status::kFailed);
  {
    auto half = tree.begin_file("f", file("hello"), std::nullopt);
    ASSERT_TRUE(half);
    ASSERT_TRUE(half->write(as_bytes("he")));
  }
  EXPECT_TRUE(fs::is_empty(root()));
}

TEST_P(Applying, OwnWritesAreNotChanges) {
  auto tree = open();
  ASSERT_TRUE(tree.scan());
  ASSERT_TRUE(put(tree, "d/f", "text", std::nullopt).applied());
  ASSERT_TRUE(tree.put_symlink("d/l", Entry::symlink("f"), std::nullopt).applied());
  ASSERT_TRUE(tree.put_directory("e", std::nullopt).applied());
  EXPECT_TRUE(tree.rescan({"d", "d/f", "d/l", "e", ".locki-tmp-1"})->empty());
  ASSERT_TRUE(tree.remove("d/f", file("text")).applied());
  EXPECT_TRUE(tree.rescan({"d", "d/f"})->empty());
  EXPECT_EQ(tree.state(), *tree.scan());
}

TEST_P(Applying, ChangesKinds) {
  auto tree = open();
  ASSERT_TRUE(tree.put_directory("x", std::nullopt).applied());
  ASSERT_TRUE(put(tree, "x", "now a file", Entry::directory()).applied());
  ASSERT_TRUE(tree.put_symlink("x", Entry::symlink("y"), file("now a file")).applied());
  ASSERT_TRUE(tree.put_directory("x", Entry::symlink("y")).applied());
  write("x/child", "x");
  EXPECT_EQ(put(tree, "x", "no", Entry::directory()).status, Outcome::Status::kConflict);
  EXPECT_EQ(tree.remove("x", Entry::directory()).status, Outcome::Status::kConflict);
  EXPECT_EQ(read("x/child"), "x");
  EXPECT_TRUE(tree.remove("x/child", file("x")).applied());
  EXPECT_TRUE(tree.remove("x", Entry::directory()).applied());
  EXPECT_TRUE(tree.remove("x", Entry::directory()).applied());
  EXPECT_TRUE(fs::is_empty(root()));
}

TEST_P(Applying, RefusesHostileNamesAndTargets) {
  auto tree = open();
  for (const char* path :
       {"../x", "/x", "a/../../x", ".git/config", "a/.GIT/config", "git~1/x", ".locki-tmp-x", "a//b", "x\ny", ""}) {
    EXPECT_EQ(put(tree, path, "x", std::nullopt).status, Outcome::Status::kFailed) << path;
    EXPECT_FALSE(tree.put_directory(path, std::nullopt).applied()) << path;
    EXPECT_FALSE(tree.remove(path, file("x")).applied()) << path;
  }
  for (const char* target : {"/etc", "../x", "a/../../x", ".git/config"})
    EXPECT_FALSE(tree.put_symlink("link", Entry::symlink(target), std::nullopt).applied()) << target;
  EXPECT_TRUE(fs::is_empty(root()));
  EXPECT_FALSE(fs::exists(temporary_->path() / "x"));
}

TEST_P(Applying, KeepsOutOfInnerRepositories) {
  write("sub/.git", "gitdir: elsewhere");
  auto tree = open();
  EXPECT_FALSE(put(tree, "sub/deep/file", "x", std::nullopt).applied());
  EXPECT_FALSE(fs::exists(root() / "sub/deep"));
}

// A directory keeps being replaced by a symlink to the outside while files are put beneath it.
TEST_P(Applying, IsNotLedOutsideByARace) {
  const fs::path outside = temporary_->path() / "outside";
  fs::create_directories(outside);
  fs::create_directories(root() / "d");
  fs::create_symlink(outside, root() / "evil");
  auto tree = open();
  std::atomic<bool> stop{false};
  std::thread racer([&] {
    const auto top = *sys::Directory::open(root());
    const auto spot = *top.spot("d"), evil = *top.spot("evil");
    while (!stop) (void)spot.exchange(evil);
  });
  int wrote = 0;
  for (int i = 0; i < 1500; ++i) {
    wrote += put(tree, "d/f" + std::to_string(i), "x", std::nullopt).applied();
    wrote += tree.put_directory("d/s" + std::to_string(i), std::nullopt).applied();
    (void)tree.remove("d/f" + std::to_string(i / 2), file("x"));
  }
  stop = true;
  racer.join();
  EXPECT_GT(wrote, 0);
  EXPECT_TRUE(fs::is_empty(outside));
}

// A human saves (beside and rename, each version once) while the mirror puts: no version of the human's may vanish
// unseen.
TEST_P(Applying, NeverOverwritesWhatItHasNotSeen) {
  write("f", "start");
  auto tree = open();
  std::atomic<bool> stop{false};
  std::atomic<int> saved{0};
  std::thread human([&] {
    for (int i = 0; !stop; ++i) {
      std::ofstream(root() / "human") << "human " << i;
      if (::rename((root() / "human").c_str(), (root() / "f").c_str()) == 0) saved = i;
      std::this_thread::sleep_for(std::chrono::microseconds(i % 7 * 30));
    }
  });
  std::set<std::string> seen;
  Entry expected = file("start");
  int conflicts = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = "agent " + std::to_string(i);
    const Outcome outcome = put(tree, "f", text, expected);
    if (outcome.applied()) {
      expected = file(text);
    } else if (outcome.actual) {
      ++conflicts;
      expected = *outcome.actual;
    }
  }
  stop = true;
  human.join();
  EXPECT_GT(conflicts, 0);
  // The last save stands unless the mirror saw exactly it before it replaced it.
  const std::string now = read("f");
  const std::string last = "human " + std::to_string(saved.load());
  EXPECT_TRUE(now == last || expected == file(now)) << now;
  EXPECT_FALSE(has_leftovers());
}

TEST_P(Applying, KeepsTheModeOfWhatItReplaces) {
  write("private", "x");
  fs::permissions(root() / "private", fs::perms(0600));
  auto tree = open();
  ASSERT_TRUE(put(tree, "private", "y", file("x")).applied());
  EXPECT_EQ(fs::status(root() / "private").permissions(), fs::perms(0600));
  ASSERT_TRUE(put(tree, "private", "y", file("y"), true).applied());
  EXPECT_EQ(fs::status(root() / "private").permissions(), fs::perms(0700));
}

// Killed at random moments while it carries: each file is as before or as wanted, and a new start brings it to the end.
TEST_P(Applying, SurvivesBeingKilled) {
  constexpr int kFiles = 40;
  const auto content = [](int file_number, int version) {
    return std::string(20'000, static_cast<char>('a' + version)) + std::to_string(file_number);
  };
  for (int i = 0; i < kFiles; ++i) write("d/f" + std::to_string(i), content(i, 0));
  std::mt19937 random(11);
  int cut_short = 0;
  for (int version = 1; version <= 12; ++version) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto tree = Tree::open(root(), options_);
      for (int i = 0; tree && i < kFiles; ++i) {
        const std::string path = "d/f" + std::to_string(i);
        (void)put(*tree, path, content(i, version), file(content(i, version - 1)));
        if (i % 5 == 0)
          (void)put(*tree, "n/" + std::to_string(version) + "/f" + std::to_string(i), content(i, version),
                    std::nullopt);
      }
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 12'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    cut_short += WIFSIGNALED(status);
    // Half-written files are never seen under a real name.
    for (int i = 0; i < kFiles; ++i) {
      const std::string now = read("d/f" + std::to_string(i));
      ASSERT_TRUE(now == content(i, version) || now == content(i, version - 1)) << i;
    }
    auto tree = open();
    ASSERT_TRUE(tree.scan());
    EXPECT_FALSE(has_leftovers());
    for (int i = 0; i < kFiles; ++i)
      ASSERT_TRUE(put(tree, "d/f" + std::to_string(i), content(i, version), file(content(i, version - 1))).applied());
  }
  EXPECT_GT(cut_short, 0);
}

TEST_P(Applying, FailsCleanlyWhenTheDiskIsFull) {
  write("f", "old");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // EFBIG stands in for ENOSPC: the write fails half-way.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto tree = Tree::open(root(), options_);
    const bool failed_well =
        tree && put(*tree, "f", std::string(5000, 'x'), file("old")).status == Outcome::Status::kFailed;
    _exit(failed_well ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read("f"), "old");
  EXPECT_FALSE(has_leftovers());
}

TEST(IgnoreRules, AsksGitSafely) {
  const std::vector<std::string> list{"--no-optional-locks",
                                      "-c",
                                      "core.fsmonitor=false",
                                      "-c",
                                      "core.untrackedCache=false",
                                      "-c",
                                      "core.quotePath=false",
                                      "ls-files",
                                      "-z",
                                      "--others",
                                      "--ignored",
                                      "--exclude-standard",
                                      "--directory"};
  EXPECT_EQ(IgnoreRules::list_arguments(), list);
}

}  // namespace
}  // namespace locki::mirror
