#include "git/shallow.h"

#include "git/pack.h"
#include "unit/git/repo.h"

namespace locki::git::test {
namespace {

class ShallowTest : public ::testing::Test {
 protected:
  // `count` empty commits on top of each other; gives all ids, the newest first.
  std::vector<std::string> commits(int count) {
    for (int i = 0; i < count; ++i) repo_.git({"commit", "-q", "--allow-empty", "-m", "c" + std::to_string(i)});
    return split_lines(repo_.git({"rev-list", "HEAD"}));
  }
  History newest(std::size_t most) {
    auto history = newest_history(repo_.repository(), repo_.git({"rev-parse", "HEAD"}), most);
    EXPECT_TRUE(history.has_value()) << (history ? "" : history.error().describe());
    return history.value_or(History{});
  }
  TestRepo repo_;
};

TEST_F(ShallowTest, WhatFitsIsWhole) {
  const auto all = commits(4);
  for (const std::size_t most : {std::size_t{0}, all.size(), all.size() + 1}) {
    EXPECT_TRUE(newest(most).boundary.empty()) << most;
    EXPECT_FALSE(newest(most).cut) << most;
  }
}

TEST_F(ShallowTest, TheBoundaryIsTheParentOfTheOldest) {
  const auto all = commits(9);
  const History history = newest(3);
  EXPECT_TRUE(history.cut);
  EXPECT_EQ(history.boundary, std::vector<ObjectId>{all[3]});
}

// A merge of something old must not end the history at the merge.
TEST_F(ShallowTest, AMergeOfAnOldBranchKeepsBothParents) {
  const auto old = commits(3);
  commits(6);
  repo_.git({"checkout", "-q", "-b", "side", old[1]});
  repo_.git({"commit", "-q", "--allow-empty", "-m", "side"});
  repo_.git({"checkout", "-q", "main"});
  repo_.git({"merge", "-q", "--no-ff", "-m", "merge", "side"});
  const History history = this->newest(4);
  EXPECT_TRUE(history.cut);
  const auto newest = split_lines(repo_.git({"rev-list", "--max-count=4", "HEAD"}));
  for (const auto& oid : newest) EXPECT_FALSE(std::binary_search(history.boundary.begin(), history.boundary.end(), oid)) << oid;
  // Every parent of these is one of these, or at the boundary.
  for (const auto& oid : newest) {
    for (const auto& parent : split(repo_.git({"log", "-1", "--format=%P", oid}), ' ')) {
      const bool there = std::find(newest.begin(), newest.end(), parent) != newest.end() || std::binary_search(history.boundary.begin(), history.boundary.end(), parent);
      EXPECT_TRUE(there) << parent;
    }
  }
}

TEST_F(ShallowTest, AShallowRepositorysOwnBoundaryCounts) {
  const auto all = commits(9);
  TestRepo shallow(false);
  shallow.git({"fetch", "-q", "--depth=4", "file://" + repo_.path().string(), "main:copy"});
  auto history = newest_history(shallow.repository(), all[0], 0);
  ASSERT_TRUE(history.has_value()) << history.error().describe();
  EXPECT_FALSE(history->cut);
  EXPECT_EQ(history->boundary, std::vector<ObjectId>{all[3]});
  history = newest_history(shallow.repository(), all[0], 2);
  ASSERT_TRUE(history.has_value());
  EXPECT_TRUE(history->cut);
  EXPECT_EQ(history->boundary, std::vector<ObjectId>{all[2]});
}

TEST_F(ShallowTest, TheFile) {
  const std::vector<ObjectId> boundary{std::string(40, 'a'), std::string(64, 'b')};
  const auto file = repo_.outside("boundary");
  EXPECT_TRUE(read_boundary(file)->empty());
  ASSERT_TRUE(sys::write_file(file, boundary_text(boundary)));
  EXPECT_EQ(*read_boundary(file), boundary);
  ASSERT_TRUE(sys::write_file(file, "--all\n"));
  EXPECT_EQ(read_boundary(file).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(ShallowTest, RevisionsNameTheBoundaryFirst) {
  const auto all = commits(2);
  EXPECT_EQ(*pack_revisions(repo_.repository(), all[0], {all[1]}, {all[2]}), "--shallow " + all[2] + "\n" + all[0] + "\n^" + all[1] + "\n");
}

}  // namespace
}  // namespace locki::git::test
