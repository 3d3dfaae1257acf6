// A side comes back from a crash with an older disk. What both had agreed on goes in again; it is never read as somebody's
// deletion, edit or reset.
#include <gtest/gtest.h>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class Recovery : public ::testing::Test {
 protected:
  Recovery() {
    pair_.far_boot = "far 1";
    pair_.host_boot = "host 1";
  }
  void begin() {
    write(pair_.host() / "edited", "first\n");
    write(pair_.host() / "removed", "first\n");
    pair_.commit(pair_.host(), "begin");
    pair_.clone();
    pair_.start();
    ASSERT_TRUE(pair_.sync());
    ASSERT_TRUE(pair_.durable());
  }

  // What is on a side's disk, and what of it there is after a crash.
  void save(const std::vector<std::string>& parts, const std::string& as) const {
    fs::remove_all(pair_.path(as));
    fs::create_directory(pair_.path(as));
    for (const std::string& part : parts)
      if (fs::exists(pair_.path(part))) copy(pair_.path(part), pair_.path(as) / part);
  }
  void put_back(const std::vector<std::string>& parts, const std::string& from) const {
    for (const std::string& part : parts) {
      fs::remove_all(pair_.path(part));
      if (fs::exists(pair_.path(from) / part)) copy(pair_.path(from) / part, pair_.path(part));
    }
  }
  static void copy(const fs::path& from, const fs::path& to) {
    const auto done = sys::run_ok({.program = "/bin/cp", .args = {"-a", from.string(), to.string()}, .environment = sys::clean_environment()});
    ASSERT_TRUE(done.has_value()) << done.error().describe();
  }
  void save_inside() const { save(kInside, "disk-inside"); }
  void save_host() const { save(kHost, "disk-host"); }

  // The machine ends, and is started anew from what was on its disk.
  void inside_crashes() {
    pair_.kill_endpoint();
    put_back(kInside, "disk-inside");
    pair_.far_boot += "+";
    pair_.start();
  }
  void host_crashes(bool inside_as_well) {
    pair_.kill_worker();
    put_back(kHost, "disk-host");
    if (inside_as_well) put_back(kInside, "disk-inside");
    pair_.host_boot += "+";
    pair_.far_boot += "+";
    pair_.start();
  }

  std::string tip(const fs::path& where) const { return pair_.git(where, {"rev-parse", "topic"}); }
  void expect_same() {
    EXPECT_EQ(listing(pair_.host()), listing(pair_.inside()));
    EXPECT_EQ(tip(pair_.host()), tip(pair_.inside()));
    EXPECT_EQ(pair_.git(pair_.host(), {"status", "--porcelain"}), pair_.git(pair_.inside(), {"status", "--porcelain"}));
    EXPECT_FALSE(pair_.saw("violation"));
  }

  static inline const std::vector<std::string> kInside{"inside", "cache"};
  static inline const std::vector<std::string> kHost{"worktree", "repo", "state"};
  MirrorPair pair_;
};

// The worst fault there was: the machine is killed, its disk is 30 s older, and the mirror took that for the agent's newest work.
TEST_F(Recovery, WhatTheMachineHasForgottenGoesInAgain) {
  begin();
  save_inside();
  write(pair_.inside() / "agents", "of the agent");
  write(pair_.inside() / "in" / "a" / "directory", "of the agent");
  write(pair_.inside() / "edited", "first\nby the agent\n");
  fs::remove(pair_.inside() / "removed");
  const std::string agents_tip = pair_.commit(pair_.inside(), "of the agent");
  ASSERT_TRUE(pair_.sync());
  write(pair_.host() / "mine.txt", "of the user");
  write(pair_.host() / "README", "one\ntwo\nthree\nfour\nfive\nsix, by the user\n");
  ASSERT_TRUE(pair_.sync());
  ASSERT_EQ(read(pair_.inside() / "mine.txt"), "of the user");

  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(tip(pair_.host()), agents_tip);
  EXPECT_EQ(read(pair_.host() / "mine.txt"), "of the user");
  EXPECT_EQ(read(pair_.inside() / "mine.txt"), "of the user");
  EXPECT_EQ(read(pair_.host() / "README"), "one\ntwo\nthree\nfour\nfive\nsix, by the user\n");
  EXPECT_EQ(read(pair_.inside() / "agents"), "of the agent");
  EXPECT_EQ(read(pair_.inside() / "in/a/directory"), "of the agent");
  EXPECT_EQ(read(pair_.host() / "edited"), "first\nby the agent\n");
  EXPECT_FALSE(fs::exists(pair_.inside() / "removed"));
  EXPECT_FALSE(fs::exists(pair_.host() / "removed"));
  const auto told = pair_.event("recovered");
  ASSERT_TRUE(told.has_value());
  EXPECT_NE(told->text.find("6 files inside"), std::string::npos) << told->text;
  EXPECT_NE(told->text.find("1 commit inside"), std::string::npos) << told->text;
  EXPECT_FALSE(pair_.saw("conflict"));
  EXPECT_EQ(pair_.git(pair_.host(), {"for-each-ref", "refs/locki"}), "") << "nothing was rewritten";
}

TEST_F(Recovery, WhatIsNewAfterTheCrashIsWorkAndTravels) {
  begin();
  save_inside();
  write(pair_.inside() / "edited", "first\nby the agent\n");
  write(pair_.inside() / "other", "1");
  ASSERT_TRUE(pair_.sync());
  pair_.kill_endpoint();
  put_back(kInside, "disk-inside");
  // Before the mirror is back both go on: a service inside, the user at her desk.
  write(pair_.inside() / "new", "by a service");
  write(pair_.inside() / "edited", "begin\nfirst\n");
  write(pair_.host() / "other", "2, by the user");
  pair_.far_boot += "+";
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.host() / "new"), "by a service");
  EXPECT_EQ(read(pair_.inside() / "other"), "2, by the user");
  EXPECT_EQ(read(pair_.host() / "edited"), "begin\nfirst\n") << "real work: the ordinary rules";
}

TEST_F(Recovery, TheUsersDeletionStandsThoughTheMachineHasTheFileAgain) {
  begin();
  save_inside();
  fs::remove(pair_.host() / "removed");
  ASSERT_TRUE(pair_.sync());
  ASSERT_FALSE(fs::exists(pair_.inside() / "removed"));
  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  EXPECT_FALSE(fs::exists(pair_.inside() / "removed"));
  expect_same();
}

// Before anything of it was ever written down: neither side's absent files are deletions.
TEST_F(Recovery, RightAfterTheBeginningNothingIsADeletion) {
  for (const bool host : {false, true}) {
    SCOPED_TRACE(host ? "the host" : "the sandbox");
    MirrorPair pair;
    pair.far_boot = pair.host_boot = "1";
    write(pair.host() / "d/file", "1");
    pair.commit(pair.host(), "begin");
    pair.clone();
    pair.start();
    ASSERT_TRUE(pair.sync());
    pair.kill_worker();
    const fs::path fell = host ? pair.host() : pair.inside();
    fs::remove_all(fell / "d");
    write(fell / "README", "");
    pair.far_boot = "2";
    if (host) pair.host_boot = "2";
    pair.start();
    ASSERT_TRUE(pair.sync());
    EXPECT_EQ(read(pair.host() / "d/file"), "1");
    EXPECT_EQ(read(pair.inside() / "d/file"), "1");
    EXPECT_EQ(read(pair.host() / "README"), "one\ntwo\nthree\nfour\nfive\n");
    EXPECT_EQ(listing(pair.host()), listing(pair.inside()));
  }
}

// The machine died right after the clone was made, and its disk has half of it, or only the directory.
TEST_F(Recovery, AHalfCloneIsNoDeletion) {
  for (const bool empty : {false, true}) {
    SCOPED_TRACE(empty ? "nothing of it" : "half of it");
    MirrorPair pair;
    write(pair.host() / "d/file", "1");
    const std::string tip = pair.commit(pair.host(), "begin");
    pair.clone();
    fs::remove_all(pair.inside() / "d");
    if (empty) {
      fs::remove_all(pair.inside());
      fs::create_directory(pair.inside());
    } else {
      write(pair.inside() / ".git/locki-unfinished", "");
    }
    pair.cloned = "";  // the daemon knows that it was started anew since
    pair.start();
    ASSERT_TRUE(pair.sync());
    EXPECT_EQ(read(pair.host() / "d/file"), "1");
    EXPECT_EQ(listing(pair.host()), listing(pair.inside()));
    EXPECT_EQ(pair.git(pair.inside(), {"rev-parse", "topic"}), tip);
    EXPECT_FALSE(fs::exists(pair.inside() / ".git/locki-unfinished"));
  }
}

TEST_F(Recovery, AnEmptyOrTornFileIsReplacedAndKept) {
  begin();
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "line " + std::to_string(i) + "\n";
  for (const char* name : {"empty", "shorter", "zeros", "worked-on"}) write(pair_.inside() / name, text + name);
  ASSERT_TRUE(pair_.sync());
  save_inside();
  write(pair_.path("disk-inside") / "inside/empty", "");
  write(pair_.path("disk-inside") / "inside/shorter", text.substr(0, 4096));
  std::string zeros = text + "zeros";
  std::fill(zeros.begin() + 4096, zeros.begin() + 8192, '\0');
  write(pair_.path("disk-inside") / "inside/zeros", zeros);
  write(pair_.path("disk-inside") / "inside/worked-on", "another text");
  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  for (const char* name : {"empty", "shorter", "zeros"}) {
    EXPECT_EQ(read(pair_.host() / name), text + name) << name;
    EXPECT_EQ(read(pair_.inside() / name), text + name) << name;
  }
  EXPECT_EQ(read(pair_.host() / "worked-on"), "another text");
  std::set<std::string> kept;
  const auto versions = pair_.history().list();
  for (const Version& version : *versions)
    if (version.kept_path) kept.insert(*version.kept_path);
  EXPECT_EQ(kept, (std::set<std::string>{"empty", "shorter", "zeros"}));
  expect_same();
}

TEST_F(Recovery, AnOlderImageThanAnyMarkIsOld) {
  begin();
  save_inside();
  for (int i = 0; i < 3; ++i) {
    write(pair_.inside() / "edited", "version " + std::to_string(i));
    write(pair_.inside() / ("file" + std::to_string(i)), "x");
    if (i == 1) fs::remove(pair_.host() / "removed");
    pair_.commit(pair_.inside(), std::to_string(i));
    ASSERT_TRUE(pair_.sync());
    ASSERT_TRUE(pair_.durable());
  }
  const std::string agreed = tip(pair_.host());
  pair_.kill_endpoint();
  put_back(kInside, "disk-inside");  // a snapshot of the container: the kernel is the same
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(tip(pair_.host()), agreed);
  EXPECT_EQ(read(pair_.inside() / "edited"), "version 2");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read(pair_.inside() / ("file" + std::to_string(i))), "x");
  EXPECT_FALSE(fs::exists(pair_.host() / "removed"));
  EXPECT_TRUE(pair_.saw("recovered"));
}

TEST_F(Recovery, ARewrittenBranchIsNotUnwritten) {
  begin();
  write(pair_.inside() / "a", "1");
  pair_.commit(pair_.inside(), "a");
  ASSERT_TRUE(pair_.sync());
  ASSERT_TRUE(pair_.durable());
  save_inside();
  pair_.git(pair_.inside(), {"commit", "-q", "--amend", "-m", "amended"});
  ASSERT_TRUE(pair_.sync());
  const std::string amended = tip(pair_.host());
  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(tip(pair_.host()), amended);
  expect_same();
}

TEST_F(Recovery, TheHostsOlderFilesAreMadeNewAgain) {
  begin();
  save_host();
  write(pair_.inside() / "agents", "of the agent");
  write(pair_.inside() / "edited", "by the agent");
  const std::string agents = pair_.commit(pair_.inside(), "of the agent");
  write(pair_.host() / "mine.txt", "of the user");
  ASSERT_TRUE(pair_.sync());
  // The journal was written down (its notes are, before anything is changed); the files and the branch were not.
  fs::remove_all(pair_.path("disk-host") / "state");
  copy(pair_.path("state"), pair_.path("disk-host") / "state");
  host_crashes(false);
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.host() / "agents"), "of the agent");
  EXPECT_EQ(read(pair_.host() / "edited"), "by the agent");
  EXPECT_EQ(read(pair_.host() / "mine.txt"), "of the user") << "the sandbox had it";
  EXPECT_EQ(tip(pair_.host()), agents);
}

TEST_F(Recovery, WhatNeitherDiskHasIsInTheHistory) {
  begin();
  save_host();
  save_inside();
  write(pair_.inside() / "agents", "of the agent");
  write(pair_.inside() / "edited", "by the agent");
  write(pair_.host() / "mine.txt", "of the user");
  ASSERT_TRUE(pair_.sync());
  fs::remove_all(pair_.path("disk-host") / "state");
  copy(pair_.path("state"), pair_.path("disk-host") / "state");
  host_crashes(true);
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(read(pair_.inside() / "agents"), "of the agent");
  EXPECT_EQ(read(pair_.host() / "edited"), "by the agent");
  EXPECT_EQ(read(pair_.inside() / "mine.txt"), "of the user");
}

TEST_F(Recovery, ARepositoryThatDoesNotOpenIsMadeAnew) {
  begin();
  write(pair_.inside() / "agents", "of the agent");
  const std::string agents = pair_.commit(pair_.inside(), "of the agent");
  ASSERT_TRUE(pair_.sync());
  ASSERT_TRUE(pair_.durable());
  save_inside();
  fs::remove_all(pair_.path("disk-inside") / "inside/.git/objects");
  write(pair_.path("disk-inside") / "inside/.git/HEAD", "");
  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(tip(pair_.inside()), agents);
  EXPECT_FALSE(fs::is_empty(pair_.path("aside"))) << "what was left is kept";
}

TEST_F(Recovery, AnEmptyIndexBranchOrObjectIsMended) {
  begin();
  write(pair_.inside() / "agents", "of the agent");
  const std::string agents = pair_.commit(pair_.inside(), "of the agent");
  ASSERT_TRUE(pair_.sync());
  ASSERT_TRUE(pair_.durable());
  write(pair_.inside() / "agents", "second");
  const std::string second = pair_.commit(pair_.inside(), "second");
  ASSERT_TRUE(pair_.sync());
  save_inside();
  const fs::path git = pair_.path("disk-inside") / "inside/.git";
  fs::permissions(git / "objects" / second.substr(0, 2) / second.substr(2), fs::perms::owner_all);
  write(git / "objects" / second.substr(0, 2) / second.substr(2), "");
  write(git / "index", "");
  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_EQ(tip(pair_.inside()), second);
  EXPECT_EQ(pair_.git(pair_.inside(), {"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
}

TEST_F(Recovery, AFetchedBranchIsNotTakenBack) {
  begin();
  const auto fetch = [&] { return pair_.reply(pair_.request({{"request", "branches"}, {"names", json::array{}}})); };
  pair_.git(pair_.inside(), {"branch", "other"});
  ASSERT_TRUE(pair_.durable());
  save_inside();
  pair_.git(pair_.inside(), {"checkout", "-q", "other"});
  write(pair_.inside() / "other", "1");
  const std::string fetched = pair_.commit(pair_.inside(), "other");
  pair_.git(pair_.inside(), {"checkout", "-q", "topic"});
  ASSERT_TRUE(fetch());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "locki/topic/other"}), fetched);
  inside_crashes();
  ASSERT_TRUE(pair_.sync());
  const auto again = fetch();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "locki/topic/other"}), fetched);
  EXPECT_NE(json::serialize(*again).find("fell back"), std::string::npos);
  // What the agent makes of it from there comes as ever.
  pair_.git(pair_.inside(), {"checkout", "-q", "other"});
  const std::string anew = pair_.commit(pair_.inside(), "another");
  pair_.git(pair_.inside(), {"checkout", "-q", "topic"});
  ASSERT_TRUE(fetch());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "locki/topic/other"}), anew);
}

// A new sandbox begins with the commit that it was cloned from, not with nothing.
TEST_F(Recovery, WhatTheUserMovesAtOnceIsMoved) {
  write(pair_.host() / "src/deep/meta/file", "1");
  write(pair_.host() / "edited", "first\n");
  pair_.commit(pair_.host(), "begin");
  pair_.clone();
  fs::rename(pair_.host() / "src/deep/meta", pair_.host() / "src/meta");
  fs::remove(pair_.host() / "edited");
  write(pair_.host() / "README", "of the user");
  write(pair_.inside() / "of-the-agent", "1");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_FALSE(fs::exists(pair_.host() / "src/deep/meta"));
  EXPECT_EQ(read(pair_.inside() / "src/meta/file"), "1");
  EXPECT_FALSE(fs::exists(pair_.inside() / "edited"));
  EXPECT_EQ(read(pair_.inside() / "README"), "of the user");
  EXPECT_EQ(read(pair_.host() / "of-the-agent"), "1");
  EXPECT_FALSE(pair_.saw("conflict"));
}

TEST_F(Recovery, WhatBothEditAtOnceIsMerged) {
  pair_.clone();
  write(pair_.host() / "README", "zero, of the user\none\ntwo\nthree\nfour\nfive\n");
  write(pair_.inside() / "README", "one\ntwo\nthree\nfour\nfive\nsix, of the agent\n");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(read(pair_.host() / "README"), "zero, of the user\none\ntwo\nthree\nfour\nfive\nsix, of the agent\n");
  expect_same();
}

TEST_F(Recovery, AHeldFileOfTheCommitIsNoDeletion) {
  write(pair_.host() / ".vscode/settings.json", "{}");
  pair_.commit(pair_.host(), "begin");
  pair_.clone();
  fs::remove_all(pair_.host() / ".vscode");  // as a held file is not there
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(read(pair_.inside() / ".vscode/settings.json"), "{}");
  EXPECT_TRUE(pair_.held().contains(".vscode/settings.json"));
}

}  // namespace
}  // namespace locki::mirror::test
