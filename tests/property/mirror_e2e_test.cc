// The mirror's two real programs over two directories on this machine: what the user sees, in both directions, and over
// kills.
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class MirrorE2e : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { (void)::signal(SIGPIPE, SIG_IGN); }
  void expect_same() { EXPECT_EQ(listing(pair_.host()), listing(pair_.inside())); }

  MirrorPair pair_;
};

TEST_F(MirrorE2e, WhatTheHumanHasGoesIn) {
  write(pair_.host() / "src/deep/er/x.c", "int x;\n");
  write(pair_.host() / "empty", "");
  write(pair_.host() / "binary", std::string("\0\1\2\xff", 4) + std::string(300'000, '\0'));
  write(pair_.host() / "run.sh", "#!/bin/sh\n");
  fs::permissions(pair_.host() / "run.sh", fs::perms::all);
  fs::create_symlink("../run.sh", pair_.host() / "src/link");
  fs::create_directory(pair_.host() / "nothing-in-it");
  pair_.start();
  ASSERT_TRUE(pair_.event("ready"));
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_TRUE(fs::exists(pair_.inside() / "nothing-in-it"));
  EXPECT_EQ(pair_.git(pair_.inside(), {"rev-parse", "HEAD"}), pair_.git(pair_.host(), {"rev-parse", "HEAD"}));
  EXPECT_EQ(pair_.git(pair_.inside(), {"symbolic-ref", "--short", "HEAD"}), "topic");
  EXPECT_EQ(pair_.stop().status, 0);
}

TEST_F(MirrorE2e, EditsGoBothWays) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "from-agent/a.txt", "agent\n");
  write(pair_.host() / "from-human/b.txt", "human\n");
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.host() / "from-agent/a.txt"), "agent\n");
  EXPECT_EQ(read(pair_.inside() / "from-human/b.txt"), "human\n");
  // Rename, delete, mode, kind.
  fs::rename(pair_.inside() / "from-agent", pair_.inside() / "renamed");
  fs::remove(pair_.inside() / "README");
  fs::permissions(pair_.inside() / "from-human/b.txt", fs::perms::all);
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_FALSE(fs::exists(pair_.host() / "README"));
  EXPECT_FALSE(fs::exists(pair_.host() / "from-agent"));
  fs::remove_all(pair_.host() / "renamed");
  write(pair_.host() / "renamed", "now a file");
  fs::remove(pair_.inside() / "from-human/b.txt");
  fs::create_symlink("../renamed", pair_.inside() / "from-human/b.txt");
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.inside() / "renamed"), "now a file");
  EXPECT_FALSE(pair_.saw("conflict"));
  pair_.stop();
  // What was deleted is in the history.
  const auto history = pair_.history();
  bool found = false;
  const std::vector<Version> versions = history.list().value_or(std::vector<Version>());
  for (const Version& version : versions) {
    if (const auto old = history.read(version.id, "README", 1000)) found |= old->starts_with("one\n");
  }
  EXPECT_TRUE(found);
}

TEST_F(MirrorE2e, ByItself) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "live", "x");
  const auto deadline = steady_clock::now() + seconds(60);
  while (!fs::exists(pair_.host() / "live") && steady_clock::now() < deadline)
    (void)pair_.event("never", seconds(0)), ::usleep(10'000);
  EXPECT_TRUE(fs::exists(pair_.host() / "live"));
  pair_.stop();
}

// How often the process went to sleep, and so was woken.
long wakeups(pid_t pid) {
  const std::string status = read("/proc/" + std::to_string(pid) + "/status");
  const auto at = status.find("\nvoluntary_ctxt_switches:");
  return at == std::string::npos ? -1 : std::atol(status.c_str() + at + 25);
}

TEST_F(MirrorE2e, AQuietOneSleepsAndStillSeesACommit) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  ::sleep(8);
  const long before = wakeups(pair_.worker());
  ::sleep(20);
  const long woken = wakeups(pair_.worker()) - before;
  RecordProperty("wakeups", static_cast<int>(woken));
  EXPECT_LE(woken, 6) << "in 20 s";  // looking three times a second makes 60
  // No file of the worktree changes with it: only the ref says so.
  pair_.git(pair_.host(), {"commit", "-q", "--allow-empty", "-m", "while it slept"});
  const auto begun = steady_clock::now();
  while (pair_.git(pair_.inside(), {"log", "-1", "--format=%s"}) != "while it slept" && steady_clock::now() - begun < seconds(30))
    (void)pair_.event("never", seconds(0)), ::usleep(50'000);
  EXPECT_LT(steady_clock::now() - begun, seconds(6)) << "it waited for its next look";
  pair_.stop();
}

TEST_F(MirrorE2e, TenThousandFiles) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  for (int i = 0; i < 10'000; ++i)
    write(pair_.inside() / ("many/" + std::to_string(i % 100)) / std::to_string(i), std::to_string(i));
  ASSERT_TRUE(pair_.sync(seconds(280)));
  expect_same();
  fs::remove_all(pair_.host() / "many");
  ASSERT_TRUE(pair_.sync(seconds(280)));
  expect_same();
  EXPECT_FALSE(fs::exists(pair_.inside() / "many"));
  pair_.stop();
}

// A clock that jumps, or a tool that sets times: neither size nor time of the content tells that it changed.
TEST_F(MirrorE2e, TimesThatSayNothing) {
  pair_.start();
  for (const time_t seconds_since_1970 : {0L, 1'000'000'000L, 4'000'000'000L}) {
    const timespec times[2] = {{seconds_since_1970, 0}, {seconds_since_1970, 0}};
    for (const auto& [from, to] : {std::pair{pair_.host(), pair_.inside()}, std::pair{pair_.inside(), pair_.host()}}) {
      for (const char* content : {"aaaa", "bbbb", "cccc"}) {
        write(from / "file", content);
        ASSERT_EQ(::utimensat(AT_FDCWD, (from / "file").c_str(), times, 0), 0);
        ASSERT_TRUE(pair_.sync());
        EXPECT_EQ(read(to / "file"), content) << seconds_since_1970;
      }
    }
  }
  pair_.stop();
}

TEST_F(MirrorE2e, Ignored) {
  write(pair_.host() / ".env", "SECRET=1\n");
  write(pair_.host() / "ignored/x", "x");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "ignored/build", "output");
  // The agent asks for the human's file by taking it out of .gitignore.
  write(pair_.inside() / ".gitignore", "\n");
  ASSERT_TRUE(pair_.sync());
  EXPECT_FALSE(fs::exists(pair_.inside() / ".env"));
  EXPECT_EQ(read(pair_.host() / ".env"), "SECRET=1\n");
  // Or writes its own: the human's stays as it is.
  write(pair_.inside() / ".env", "from the agent");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(read(pair_.host() / ".env"), "SECRET=1\n");
  pair_.stop();
}

TEST_F(MirrorE2e, ConflictsAndMerges) {
  write(pair_.host() / "clash", "base\n");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  // The history must have the base for a merge.
  EXPECT_EQ(pair_.stop().status, 0);
  write(pair_.host() / "README", "ONE\ntwo\nthree\nfour\nfive\n");
  write(pair_.inside() / "README", "one\ntwo\nthree\nfour\nFIVE\n");
  write(pair_.host() / "clash", "human\n");
  write(pair_.inside() / "clash", "agent\n");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.host() / "README"), "ONE\ntwo\nthree\nfour\nFIVE\n");
  EXPECT_EQ(read(pair_.host() / "clash"), "human\n");
  const auto conflict = pair_.event("conflict", seconds(1));
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->path, "clash");
  EXPECT_TRUE(pair_.event("merged", seconds(1)));
  EXPECT_EQ(pair_.history().read(conflict->version, "clash", 100).value_or("?"), "agent\n");
  EXPECT_NE(read(pair_.path("notes")).find("clash"), std::string::npos);
  // Deleted here, edited there.
  pair_.stop();
  fs::remove(pair_.host() / "clash");
  write(pair_.inside() / "clash", "agent again\n");
  write(pair_.host() / "README", "human\n");
  fs::remove(pair_.inside() / "README");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_FALSE(fs::exists(pair_.host() / "clash"));
  EXPECT_EQ(read(pair_.inside() / "README"), "human\n");
  pair_.stop();
}

// Both edit one file while the worker is away. "Synced" means that the merge is on both sides, not that it will be tried again.
TEST_F(MirrorE2e, ASyncWaitsForWhatIsOnlyBrieflyInTheWay) {
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += "line " + std::to_string(i) + "\n";
  for (int round = 0; round < 5; ++round) {
    write(pair_.host() / "text", lines);
    pair_.start();
    ASSERT_TRUE(pair_.sync());
    pair_.kill_worker();
    write(pair_.host() / "text", "human\n" + lines);
    write(pair_.inside() / "text", lines + "agent\n");
    pair_.start();
    write(pair_.inside() / "text", lines + "agent again\n");
    ASSERT_TRUE(pair_.sync());
    EXPECT_EQ(pair_.stuck, std::vector<std::string>{});
    EXPECT_EQ(read(pair_.host() / "text"), "human\n" + lines + "agent again\n");
    expect_same();
    pair_.kill_worker();
  }
}

// What stays in the way is named, and nobody waits for it again.
TEST_F(MirrorE2e, ASyncNamesWhatIsInTheWay) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.path("repo/.git/info/exclude"), "data\n");  // the host ignores it, the sandbox does not
  write(pair_.host() / "data", "mine");
  write(pair_.host() / "trigger", "");
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "data", "theirs");
  const auto begun = steady_clock::now();
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.stuck, std::vector<std::string>{"data"});
  EXPECT_EQ(read(pair_.host() / "data"), "mine");
  EXPECT_GT(steady_clock::now() - begun, seconds(5)) << "it could have gone away";
  EXPECT_LT(steady_clock::now() - begun, seconds(60));
  fs::remove(pair_.inside() / "data");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.stuck, std::vector<std::string>{});
}

// A confined worker could not read the new file: it ends, and the next one goes on.
TEST_F(MirrorE2e, AReplacedGitConfigurationIsTakenUp) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  pair_.git(pair_.path("repo"), {"config", "user.name", "Somebody"});
  ASSERT_TRUE(pair_.sync()) << "the repository's own may change";
  pair_.git(pair_.path("repo"), {"config", "--global", "core.excludesFile", pair_.path("excludes").string()});
  write(pair_.path("excludes"), "*.secret\n");
  EXPECT_EQ(pair_.wait_worker().status, kStatusFailed);
  pair_.kill_worker();
  pair_.start();
  write(pair_.host() / "a.secret", "x");
  write(pair_.host() / "b.txt", "x");
  ASSERT_TRUE(pair_.sync());
  EXPECT_TRUE(fs::exists(pair_.inside() / "b.txt"));
  EXPECT_FALSE(fs::exists(pair_.inside() / "a.secret"));
}

TEST_F(MirrorE2e, CommitsGoBothWays) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "a", "a\n");
  const auto agents = pair_.commit(pair_.inside(), "from the agent");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "topic"}), agents);
  EXPECT_EQ(pair_.git(pair_.host(), {"status", "--porcelain"}), "");
  EXPECT_TRUE(pair_.event("commit", seconds(1)));
  write(pair_.host() / "b", "b\n");
  const auto humans = pair_.commit(pair_.host(), "from the human");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.inside(), {"rev-parse", "HEAD"}), humans);
  EXPECT_EQ(pair_.git(pair_.inside(), {"status", "--porcelain"}), "");
  // The agent amends: the old tip stays under a name.
  pair_.git(pair_.inside(), {"commit", "-q", "--amend", "-m", "amended"});
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.host(), {"log", "-1", "--format=%s", "topic"}), "amended");
  EXPECT_NE(pair_.git(pair_.path("repo"), {"for-each-ref", "refs/locki"}).find(humans), std::string::npos);
  pair_.stop();
}

// A git of the agent's that was killed has left its lock: the host's commit waits, and once it is in, all is well again.
TEST_F(MirrorE2e, ACommitBehindALock) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / ".git/refs/heads/topic.lock", "");
  write(pair_.host() / "file", "human");
  const std::string tip = pair_.commit(pair_.host(), "human");
  ASSERT_TRUE(pair_.event("problem"));
  pair_.events.clear();
  fs::remove(pair_.inside() / ".git/refs/heads/topic.lock");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.inside(), {"rev-parse", "HEAD"}), tip);
  const auto kind = [](const std::string& wanted) { return [wanted](const Event& event) { return event.kind == wanted; }; };
  const auto in = std::find_if(pair_.events.begin(), pair_.events.end(), kind("commit_in"));
  EXPECT_NE(std::find_if(in, pair_.events.end(), kind("caught-up")), pair_.events.end());
}

TEST_F(MirrorE2e, AHostileCommitStaysInside) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  const auto before = pair_.git(pair_.path("repo"), {"for-each-ref"});
  write(pair_.inside() / "x", "/etc/passwd");
  const auto blob = pair_.git(pair_.inside(), {"hash-object", "-w", "x"});
  pair_.git(pair_.inside(), {"update-index", "--add", "--cacheinfo", "120000," + blob + ",link"});
  pair_.git(pair_.inside(), {"commit", "-q", "-m", "evil"});
  ASSERT_TRUE(pair_.sync());
  const auto rejected = pair_.event("rejected", seconds(1));
  ASSERT_TRUE(rejected);
  EXPECT_NE(rejected->text.find("absolute"), std::string::npos) << rejected->text;
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"for-each-ref"}), before);
  // Made good, it goes through.
  pair_.git(pair_.inside(), {"reset", "-q", "--hard", "HEAD~1"});
  const auto good = pair_.commit(pair_.inside(), "good");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "topic"}), good);
  pair_.stop();
}

TEST_F(MirrorE2e, ANewSandboxDeletesNothing) {
  write(pair_.host() / "precious", "p");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  pair_.stop();
  // The container was made anew.
  fs::remove_all(pair_.inside());
  fs::remove_all(pair_.path("cache"));
  pair_.instance = "two";
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(read(pair_.host() / "precious"), "p");
  expect_same();
  pair_.stop();
}

TEST_F(MirrorE2e, ADeletedWorktreeDeletesNothingInside) {
  write(pair_.host() / "precious", "p");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  fs::rename(pair_.host(), pair_.path("moved"));
  EXPECT_EQ(pair_.wait_worker().status, kStatusFailed);
  EXPECT_EQ(read(pair_.inside() / "precious"), "p");
}

// Random work on both sides, random kills of either program; in the end both agree and the human's last words are
// there.
class MirrorKilled : public MirrorE2e, public ::testing::WithParamInterface<unsigned> {};

TEST_P(MirrorKilled, Anywhere) {
  std::mt19937 random(GetParam());
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  for (int turn = 0; turn < 8; ++turn) {
    for (int i = 0; i < 60; ++i) {
      const bool human = random() % 2 == 0;
      const fs::path root = human ? pair_.host() : pair_.inside();
      const fs::path at = root / ("d" + std::to_string(random() % 5)) / ("f" + std::to_string(random() % 20));
      if (!take_away(at, random() % 6)) write(at, std::string(random() % 50'000, static_cast<char>('a' + random() % 26)) + (human ? "human" : "agent"));
    }
    write(pair_.host() / "last-word", "human " + std::to_string(turn));
    write(pair_.inside() / "agents-word", "agent " + std::to_string(turn));
    ::usleep(static_cast<useconds_t>(random() % 400'000));
    if (random() % 2 == 0) {
      pair_.kill_worker();
    } else {
      pair_.kill_endpoint();
    }
    pair_.start();
  }
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.inside() / "last-word"), "human 7");
  EXPECT_EQ(read(pair_.host() / "agents-word"), "agent 7");
  const auto files = listing(pair_.host());
  for (const auto& [name, what] : files) EXPECT_EQ(name.find(".locki-tmp"), std::string::npos);
  EXPECT_FALSE(pair_.saw("violation"));
  EXPECT_EQ(pair_.stop().status, 0);
}

// LOCKI_SEEDS=n tries n more.
unsigned seeds() {
  const char* more = ::getenv("LOCKI_SEEDS");
  return 3 + (more != nullptr ? static_cast<unsigned>(parse_u64(more).value_or(0)) : 0);
}
INSTANTIATE_TEST_SUITE_P(Seeds, MirrorKilled, ::testing::Range(0U, seeds()));

}  // namespace
}  // namespace locki::mirror::test
