#include "mirror/branch_move.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "sys/file.h"
#include "unit/git/repo.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;

// A repository at `base_`, and a commit `tip_` on top whose files are there, as if they had come by the mirror.
class BranchMoveTest : public ::testing::Test {
 protected:
  BranchMoveTest() {
    base_ = repo_.git({"rev-parse", "HEAD"});
    repo_.write("new", "n");
    repo_.write("README", "changed inside\n");
    tip_ = repo_.commit_all("work");
    repo_.git({"reset", "-q", "--mixed", base_});
  }
  BranchMove mover() {
    return BranchMove([this](std::vector<std::string> args) { return repo_.repository().command(std::move(args)); }, git_dir(), "main");
  }
  fs::path git_dir() const { return repo_.path() / ".git"; }
  Result<> move_ref() { return repo_.try_git({"update-ref", "refs/heads/main", tip_, base_}).map([](const std::string&) {}); }
  Result<BranchMove::Moved> move() {
    return mover().move(base_, tip_, {.note = [this]() -> Result<> { return ++noted_, Result<>{}; }, .move = [this] { return move_ref(); }});
  }
  std::string status() { return *repo_.try_git({"status", "--porcelain"}); }
  // Nothing of ours is left.
  void expect_clean() {
    for (const auto& entry : fs::directory_iterator(git_dir())) {
      const std::string name = entry.path().filename();
      EXPECT_FALSE(name.starts_with("locki-") || name.ends_with(".lock")) << name;
    }
  }

  git::test::TestRepo repo_;
  std::string base_, tip_;
  int noted_ = 0;
};

TEST_F(BranchMoveTest, WhatIsStagedStays) {
  repo_.write("staged", "s");
  repo_.git({"add", "staged"});
  const auto moved = move();
  ASSERT_TRUE(moved) << moved.error().describe();
  EXPECT_EQ(moved->lost, "");
  EXPECT_EQ(repo_.git({"rev-parse", "HEAD"}), tip_);
  EXPECT_EQ(status(), "A  staged\n");
  EXPECT_EQ(noted_, 1);
  expect_clean();
}

TEST_F(BranchMoveTest, WhatDoesNotFitIsLostAndTold) {
  repo_.write("README", "staged by the human\n");
  repo_.git({"add", "README"});
  const auto moved = move();
  ASSERT_TRUE(moved) << moved.error().describe();
  EXPECT_NE(moved->lost, "");
  EXPECT_EQ(status(), " M README\n");
  EXPECT_EQ(*sys::read_file(repo_.path() / "README"), "staged by the human\n");
}

TEST_F(BranchMoveTest, MarksStay) {
  repo_.write("held", "h");
  repo_.git({"add", "held"});
  repo_.git({"commit", "-q", "-m", "held"});
  base_ = repo_.git({"rev-parse", "HEAD"});
  repo_.git({"add", "-A"});
  repo_.git({"commit", "-q", "-m", "more"});
  tip_ = repo_.git({"rev-parse", "HEAD"});
  repo_.git({"reset", "-q", "--mixed", base_});
  repo_.git({"update-index", "--skip-worktree", "held"});
  fs::remove(repo_.path() / "held");
  ASSERT_TRUE(move());
  EXPECT_EQ(repo_.git({"ls-files", "-t", "held"}), "S held");
  EXPECT_EQ(status(), "");
}

// While it moves, no other git gets in between.
TEST_F(BranchMoveTest, TheLockIsHeldOverBoth) {
  const auto moved = mover().move(base_, tip_, {.note = {}, .move = [this]() -> Result<> {
                                                  EXPECT_FALSE(repo_.try_git({"add", "new"}));
                                                  TRY(move_ref());
                                                  EXPECT_FALSE(repo_.try_git({"commit", "-q", "--allow-empty", "-m", "between"}));
                                                  return {};
                                                }});
  ASSERT_TRUE(moved) << moved.error().describe();
  EXPECT_EQ(status(), "");
  EXPECT_EQ(repo_.git({"rev-parse", "HEAD"}), tip_);
}

TEST_F(BranchMoveTest, ALockIsWaitedForAndThenLeftAlone) {
  const fs::path lock = git_dir() / "index.lock";
  ASSERT_TRUE(sys::write_file(lock, "half"));
  const auto refused = move();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(repo_.git({"rev-parse", "HEAD"}), base_);
  EXPECT_EQ(*sys::read_file(lock), "half");
  mover().take_over(false);
  EXPECT_TRUE(fs::exists(lock)) << "it is not ours";
  std::thread git([&] {
    ::usleep(100'000);
    fs::remove(lock);
  });
  EXPECT_TRUE(move());
  git.join();
  EXPECT_EQ(status(), "");
  expect_clean();
}

TEST_F(BranchMoveTest, NothingMovesInTheMiddleOfSomething) {
  for (const char* mark : {"MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "sequencer", "BISECT_LOG"}) {
    ASSERT_TRUE(sys::write_file(git_dir() / mark, base_ + "\n"));
    const auto refused = move();
    ASSERT_FALSE(refused) << mark;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
    EXPECT_NE(refused.error().describe().find("is under way"), std::string::npos);
    fs::remove(git_dir() / mark);
  }
  EXPECT_EQ(repo_.git({"rev-parse", "HEAD"}), base_);
  EXPECT_TRUE(move());
}

TEST_F(BranchMoveTest, AFailureLeavesEverythingAsItWas) {
  const auto before = status();
  const auto moved = mover().move(base_, tip_, {.note = {}, .move = []() -> Result<> { return fail(ErrorKind::kConflict, "it moved"); }});
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(status(), before);
  expect_clean();
  const auto nothing = mover().move(base_, std::string(40, 'a'), {.note = {}, .move = [this] { return move_ref(); }});
  EXPECT_FALSE(nothing);
  EXPECT_EQ(repo_.git({"rev-parse", "HEAD"}), base_);
  expect_clean();
}

TEST_F(BranchMoveTest, AnotherBranchIsNotTouched) {
  repo_.git({"checkout", "-q", "-b", "elsewhere"});
  const auto before = status();
  ASSERT_TRUE(move());
  EXPECT_EQ(repo_.git({"rev-parse", "main"}), tip_);
  EXPECT_EQ(status(), before);
}

// A killed one's lock is the very file that it had prepared.
TEST_F(BranchMoveTest, AKilledOnesLockIsTakenUp) {
  for (const bool moved : {false, true}) {
    repo_.git({"update-ref", "refs/heads/main", moved ? tip_ : base_});
    const fs::path prepared = git_dir() / "locki-new-index.1.1";
    sys::ProcessSpec spec = repo_.repository().command({"read-tree", tip_});
    spec.environment["GIT_INDEX_FILE"] = prepared.string();
    ASSERT_TRUE(sys::run_ok(spec));
    fs::create_hard_link(prepared, git_dir() / "index.lock");
    mover().take_over(moved);
    expect_clean();
    EXPECT_EQ(repo_.git({"diff", "--cached", "--name-only"}), "");
  }
}

}  // namespace
}  // namespace locki::mirror
