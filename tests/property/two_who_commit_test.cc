// The user and the agent commit on one branch at the same time: no commit undoes the other's, what goes together is on the branch of both, and
// what does not is kept and says how to take it up. And what cannot travel at all is named.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class TwoWhoCommit : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { (void)::signal(SIGPIPE, SIG_IGN); }
  void begin() {
    pair_.start();
    ASSERT_TRUE(pair_.sync());
  }
  std::string host(std::vector<std::string> args) const { return pair_.git(pair_.host(), std::move(args)); }
  std::string inside(std::vector<std::string> args) const { return pair_.git(pair_.inside(), std::move(args)); }

  // A person, or an agent, tries a git that failed again.
  void commit_file(const fs::path& where, const std::string& file, bool all = false) {
    write(where / file, "this is " + file + "\n");
    for (int i = 0; i < 400; ++i) {
      if (pair_.try_git(where, {"add", all ? "-A" : file}) && pair_.try_git(where, {"commit", "-q", "-m", "add " + file})) return;
      // Somebody else's commit has it already.
      if (all && pair_.try_git(where, {"diff", "--quiet", "HEAD", "--", file}) && pair_.try_git(where, {"cat-file", "-e", "HEAD:" + file})) return;
      ::usleep(20'000);
    }
    ADD_FAILURE() << "git never lets " << file << " in";
  }
  // Nobody's commit takes another's file away, and both sides are the same, clean.
  void expect_sound() {
    // (A file of the mirror's own on its way to its name, which `git add -A` met, is nobody's.)
    EXPECT_EQ(host({"log", "--diff-filter=D", "--name-only", "--format=%h %s", "topic", "--", ".", ":!.locki-tmp-*", ":!*/.locki-tmp-*"}), "");
    EXPECT_EQ(host({"rev-parse", "topic"}), inside({"rev-parse", "topic"}));
    EXPECT_EQ(host({"status", "--porcelain"}), "");
    EXPECT_EQ(inside({"status", "--porcelain"}), "");
    EXPECT_EQ(listing(pair_.host()), listing(pair_.inside()));
    EXPECT_EQ(host({"for-each-ref", "--format=%(refname)", "refs/locki"}), "");
    EXPECT_EQ(host({"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
    EXPECT_FALSE(pair_.saw("violation"));
  }
  void pass_time(std::chrono::milliseconds time) {
    const auto end = steady_clock::now() + time;
    while (steady_clock::now() < end) (void)pair_.event("never", seconds(0)), ::usleep(20'000);
  }

  MirrorPair pair_;
};

TEST_F(TwoWhoCommit, WhatGoesTogetherIsPutOnTop) {
  begin();
  pair_.kill_worker();
  write(pair_.inside() / "a", "a\n");
  inside({"add", "a"});
  inside({"-c", "user.name=Ägent", "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--date=2001-02-03T04:05:06+0700", "--author=Some Body <some@body>", "-m", "one\n\nwith  a body"});
  write(pair_.inside() / "README", "ONE\ntwo\nthree\nfour\nfive\n");
  inside({"commit", "-q", "-a", "-m", "two"});
  inside({"commit", "-q", "--allow-empty", "-m", "nothing"});
  const std::string before = inside({"log", "-3", "--format=%an %ae %ad %cn %ce %cd %e %B", "topic"});
  write(pair_.host() / "README", "one\ntwo\nthree\nfour\nFIVE\n");
  write(pair_.host() / "b", "b\n");
  const auto humans = pair_.commit(pair_.host(), "human");
  begin();
  EXPECT_EQ(host({"rev-parse", "topic~3"}), humans);
  EXPECT_EQ(host({"log", "-3", "--format=%an %ae %ad %cn %ce %cd %e %B", "topic"}), before);
  EXPECT_EQ(host({"show", "topic:README"}), "ONE\ntwo\nthree\nfour\nFIVE");
  EXPECT_FALSE(pair_.saw("diverged"));
  const auto replayed = pair_.event("replayed", seconds(1));
  ASSERT_TRUE(replayed);
  EXPECT_EQ(replayed->text, "3 commits from inside were put on top of the user's");
  EXPECT_NE(read(pair_.path("notes")).find("3 commits of yours were put on top"), std::string::npos);
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}

// The agent has staged what the user commits as well, and has merged a branch of its own.
TEST_F(TwoWhoCommit, TheSameChangeAndAMerge) {
  begin();
  write(pair_.inside() / "same", "same\n");
  pair_.kill_worker();
  pair_.commit(pair_.inside(), "same");
  write(pair_.host() / "same", "same\n");
  pair_.commit(pair_.host(), "same of the user's");
  begin();
  EXPECT_EQ(host({"log", "-1", "--format=%s", "topic"}), "same of the user's");
  pair_.kill_worker();
  inside({"checkout", "-q", "-b", "side"});
  write(pair_.inside() / "side", "s\n");
  pair_.commit(pair_.inside(), "side");
  inside({"checkout", "-q", "topic"});
  inside({"merge", "-q", "--no-ff", "--no-edit", "side"});
  write(pair_.host() / "user", "u\n");
  const auto humans = pair_.commit(pair_.host(), "user");
  begin();
  EXPECT_EQ(host({"rev-parse", "topic~1"}), humans);
  EXPECT_EQ(host({"ls-tree", "--name-only", "topic"}), ".gitignore\nREADME\nsame\nside\nuser");
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}

TEST_F(TwoWhoCommit, ARealConflictIsSetAsideAndSaysHowToGoOn) {
  begin();
  pair_.kill_worker();
  const auto base = inside({"rev-parse", "topic"});
  write(pair_.inside() / "README", "agent\n");
  const auto agents = pair_.commit(pair_.inside(), "agent");
  write(pair_.host() / "README", "human\n");
  const auto humans = pair_.commit(pair_.host(), "human");
  begin();
  EXPECT_EQ(host({"rev-parse", "topic"}), humans);
  EXPECT_EQ(inside({"rev-parse", "topic"}), humans);
  const auto diverged = pair_.event("diverged", seconds(1));
  ASSERT_TRUE(diverged);
  EXPECT_EQ(host({"rev-parse", diverged->path}), agents);
  EXPECT_NE(diverged->text.find("git cherry-pick " + base.substr(0, 12) + ".." + diverged->path), std::string::npos) << diverged->text;
  EXPECT_NE(diverged->text.find("README"), std::string::npos) << diverged->text;
  const std::string notes = read(pair_.path("notes"));
  EXPECT_NE(notes.find("git cherry-pick " + base.substr(0, 12) + ".." + agents.substr(0, 12)), std::string::npos) << notes;
  // What it says works.
  EXPECT_EQ(inside({"rev-list", base.substr(0, 12) + ".." + agents.substr(0, 12)}), agents);
  EXPECT_EQ(host({"rev-list", base.substr(0, 12) + ".." + diverged->path}), agents);
  EXPECT_EQ(pair_.stop().status, 0);
}

// Both are rewritten, or what the user rewrote: nothing comes back that he took off.
TEST_F(TwoWhoCommit, WhatTheUserAmendsStaysAmended) {
  begin();
  write(pair_.host() / "x", "secret\n");
  pair_.commit(pair_.host(), "x");
  ASSERT_TRUE(pair_.sync());
  pair_.kill_worker();
  commit_file(pair_.inside(), "a");
  host({"reset", "-q", "--hard", "HEAD~1"});
  commit_file(pair_.host(), "b");
  begin();
  EXPECT_EQ(host({"log", "--format=%s", "topic"}), "add a\nadd b\nfirst");
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}

// ---- one step ----

// Either is stopped for good between the branch and its index: whoever commits there then must not undo what came.
class Between : public TwoWhoCommit, public ::testing::WithParamInterface<bool> {};

TEST_P(Between, NobodyCommits) {
  const bool far = GetParam();
  begin();
  pair_.kill_worker();
  const fs::path there = far ? pair_.inside() : pair_.host(), other = far ? pair_.host() : pair_.inside();
  const auto before = pair_.git(there, {"rev-parse", "topic"});
  commit_file(other, "theirs");
  (far ? pair_.far_fault : pair_.fault) = far ? "far.moved" : "commit.moved";
  pair_.start();
  EXPECT_FALSE(pair_.sync());
  if (far) (void)pair_.wait_endpoint();
  else pair_.kill_worker();
  ASSERT_NE(pair_.git(there, {"rev-parse", "topic"}), before) << "it was not killed there";
  write(there / "mine", "m\n");
  EXPECT_FALSE(pair_.try_git(there, {"add", "mine"}));
  EXPECT_FALSE(pair_.try_git(there, {"commit", "-q", "-m", "mine"}));
  pair_.fault = pair_.far_fault = "";
  begin();
  commit_file(there, "mine");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(host({"log", "--format=%s", "topic"}), "add mine\nadd theirs\nfirst");
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}
INSTANTIATE_TEST_SUITE_P(Sides, Between, ::testing::Bool(), [](const auto& far) { return far.param ? "inside" : "host"; });

// A git that holds the index's lock is waited for, and what is staged meanwhile stays.
TEST_F(TwoWhoCommit, AGitAtWorkIsWaitedFor) {
  begin();
  for (const bool far : {true, false}) {
    const fs::path there = far ? pair_.inside() : pair_.host(), other = far ? pair_.host() : pair_.inside();
    const fs::path lock = pair_.git(there, {"rev-parse", "--path-format=absolute", "--git-path", "index.lock"});
    const auto before = pair_.git(there, {"rev-parse", "topic"});
    const std::string staged = far ? "staged-inside" : "staged-here";
    write(there / staged, "s\n");
    pair_.git(there, {"add", staged});
    write(lock, "");
    commit_file(other, far ? "of-the-user" : "of-the-agent");
    pass_time(seconds(3));
    EXPECT_EQ(pair_.git(there, {"rev-parse", "topic"}), before);
    fs::remove(lock);
    ASSERT_TRUE(pair_.sync());
    EXPECT_EQ(pair_.branch_stuck, "");
    EXPECT_EQ(pair_.git(there, {"rev-parse", "topic"}), pair_.git(other, {"rev-parse", "topic"}));
    EXPECT_EQ(pair_.git(there, {"diff", "--cached", "--name-only"}), staged);
    pair_.git(there, {"reset", "-q"});
  }
  EXPECT_EQ(pair_.stop().status, 0);
}

// ---- in the middle of something ----

struct Middle {
  const char* what;
  bool far;
};
class InTheMiddle : public TwoWhoCommit, public ::testing::WithParamInterface<Middle> {};

TEST_P(InTheMiddle, NothingMoves) {
  const std::string what = GetParam().what;
  begin();
  const fs::path there = GetParam().far ? pair_.inside() : pair_.host(), other = GetParam().far ? pair_.host() : pair_.inside();
  pair_.git(there, {"checkout", "-q", "-b", "side"});
  write(there / "README", "side\n");
  pair_.git(there, {"commit", "-q", "-a", "-m", "side"});
  pair_.git(there, {"checkout", "-q", "topic"});
  write(there / "README", "topic\n");
  pair_.git(there, {"commit", "-q", "-a", "-m", "topic"});
  ASSERT_TRUE(pair_.sync());
  EXPECT_FALSE(pair_.try_git(there, {what, "side"})) << "no conflict";
  const auto branch = pair_.git(there, {"rev-parse", "topic"}), unmerged = pair_.git(there, {"ls-files", "-u"});
  EXPECT_NE(unmerged, "");
  commit_file(other, "theirs");
  ASSERT_TRUE(pair_.sync());
  EXPECT_NE(pair_.branch_stuck.find("under way"), std::string::npos) << pair_.branch_stuck;
  EXPECT_TRUE(pair_.event("problem", seconds(1)));
  EXPECT_EQ(pair_.git(there, {"rev-parse", "topic"}), branch);
  EXPECT_EQ(pair_.git(there, {"ls-files", "-u"}), unmerged);
  write(there / "README", "resolved\n");
  pair_.git(there, {"add", "README"});
  if (what == "merge") EXPECT_TRUE(pair_.try_git(there, {"commit", "-q", "--no-edit"}));
  else EXPECT_TRUE(pair_.try_git(there, {what, "--continue"}));
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.branch_stuck, "");
  EXPECT_EQ(host({"show", "topic:theirs"}), "this is theirs");
  if (what == "rebase" && GetParam().far) {
    // What was rewritten changes the same lines as what the user builds on.
    const auto diverged = pair_.event("diverged", seconds(1));
    ASSERT_TRUE(diverged);
    EXPECT_EQ(host({"show", diverged->path + ":README"}), "resolved");
    return;
  }
  EXPECT_EQ(host({"show", "topic:README"}), "resolved");
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}
INSTANTIATE_TEST_SUITE_P(Of, InTheMiddle, ::testing::Values(Middle{"merge", false}, Middle{"merge", true}, Middle{"cherry-pick", false}, Middle{"cherry-pick", true}, Middle{"rebase", false}, Middle{"rebase", true}),
                         [](const auto& of) { return std::string(of.param.what == std::string("cherry-pick") ? "cherry_pick" : of.param.what) + (of.param.far ? "_inside" : "_here"); });

// ---- both at once ----

class Rounds : public TwoWhoCommit, public ::testing::WithParamInterface<bool> {};

TEST_P(Rounds, ThirtyOnBothSidesAtOnce) {
  begin();
  for (int round = 0; round < 30; ++round) {
    std::thread agent([&] { commit_file(pair_.inside(), "agent-" + std::to_string(round), GetParam()); });
    commit_file(pair_.host(), "user-" + std::to_string(round), GetParam());
    agent.join();
    (void)pair_.event("never", seconds(0));
  }
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.branch_stuck, "");
  for (int round = 0; round < 30; ++round) {
    for (const char* who : {"agent-", "user-"}) EXPECT_EQ(host({"show", "topic:" + (who + std::to_string(round))}), "this is " + (who + std::to_string(round)));
  }
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}
INSTANTIATE_TEST_SUITE_P(Adding, Rounds, ::testing::Bool(), [](const auto& all) { return all.param ? "everything" : "one_file"; });

TEST_F(TwoWhoCommit, AHundredInsideWhileTheUserCommitsAsWell) {
  begin();
  std::thread agent([&] {
    for (int i = 0; i < 100; ++i) {
      commit_file(pair_.inside(), "agent-" + std::to_string(i));
      ::usleep(280'000);
    }
  });
  for (int i = 0; i < 15; ++i) {
    commit_file(pair_.host(), "user-" + std::to_string(i));
    pass_time(seconds(2));
  }
  agent.join();
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.branch_stuck, "");
  const std::string subjects = host({"log", "--format=%s", "topic"});
  EXPECT_EQ(split_lines(subjects).size(), 116U) << subjects;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(host({"log", "--format=%s", "topic", "--", "agent-" + std::to_string(i)}), "add agent-" + std::to_string(i));
  EXPECT_FALSE(pair_.saw("diverged"));
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}

// ---- what cannot travel ----

TEST_F(TwoWhoCommit, WhatCannotTravelIsNamed) {
  begin();
  const auto good = inside({"rev-parse", "topic"});
  std::ofstream(pair_.inside() / ".git/tree", std::ios::binary) << "100644 bad" << std::string(21, '\0');
  const auto tree = inside({"hash-object", "-t", "tree", "--literally", "-w", ".git/tree"});
  const auto commit = inside({"commit-tree", tree, "-p", good, "-m", "bad"});
  inside({"update-ref", "refs/heads/topic", commit});
  for (int time = 0; time < 2; ++time) {
    const auto begun = steady_clock::now();
    ASSERT_TRUE(pair_.sync());
    EXPECT_LT(steady_clock::now() - begun, seconds(15));
    EXPECT_NE(pair_.branch_stuck.find(commit), std::string::npos) << pair_.branch_stuck;
    EXPECT_NE(pair_.branch_stuck.find(std::string(40, '0')), std::string::npos) << pair_.branch_stuck;
  }
  const auto stuck = pair_.event("stuck", seconds(1));
  ASSERT_TRUE(stuck);
  EXPECT_EQ(stuck->version, commit);
  write(pair_.inside() / "later", "l\n");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(read(pair_.host() / "later"), "l\n");
  EXPECT_FALSE(pair_.saw("unstuck"));
  inside({"reset", "-q", "--mixed", good});
  commit_file(pair_.inside(), "later");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.branch_stuck, "");
  EXPECT_TRUE(pair_.event("unstuck", seconds(1)));
  expect_sound();
  EXPECT_EQ(pair_.stop().status, 0);
}

}  // namespace
}  // namespace locki::mirror::test
