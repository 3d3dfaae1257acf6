#include "git/fetched_refs.h"

#include "git/worktree.h"
#include "unit/git/repo.h"

namespace locki::git::test {
namespace {

TEST(FetchedRefs, EachSandboxHasADirectoryOfItsOwn) {
  EXPECT_EQ(fetched_prefix("fix"), "refs/remotes/locki/fix/");
  // "a" with a branch "b/c" and "a/b" with a branch "c" must not be one ref.
  EXPECT_EQ(fetched_prefix("a/b"), "refs/remotes/locki/a+b/");
  EXPECT_EQ(fetched_short_name("a/b", "c/d"), "locki/a+b/c/d");
}

TEST(FetchedRefs, Names) {
  for (const char* good : {"a", "feature/x", "fix_1.2", "issue-#12", "dependabot/npm/@types/node-1.2", "v1.0", "a+b", "k=v", "a,b", "_x", "0", "header", "abcdef0"})
    EXPECT_FALSE(why_not_fetched(good)) << good << ": " << *why_not_fetched(good);
  for (const char* bad : {"", "-x", "a/-x", "..", "a/../b", ".git", "a.lock", "a.LOCK/b", "a.", "a./b", "HEAD", "a/Head", "x~1", "$(id)", "`id`", "a;b", "a b", "a'b", "a!b", "a%b",
                          "gr\xc3\xbcn", "a\x7f", "#a", "a/+b", "=a", "da39a3ee5e6b4b0d3255bfef95601890afd80709"})
    EXPECT_TRUE(why_not_fetched(bad)) << bad;
  EXPECT_TRUE(why_not_fetched(std::string(201, 'a')));
  std::string deep = "d";
  for (int i = 0; i < 16; ++i) deep += "/d";
  EXPECT_TRUE(why_not_fetched(deep));
}

TEST(FetchedRefs, Clashes) {
  using Clashes = std::map<std::string, std::string>;
  EXPECT_EQ(clashes({"a", "b", "a"}), Clashes{});
  EXPECT_EQ(clashes({"Main", "main"}), (Clashes{{"main", "Main"}}));
  EXPECT_EQ(clashes({"a", "a/b"}), (Clashes{{"a/b", "a"}}));
  EXPECT_EQ(clashes({"A/b/c", "a/B"}), (Clashes{{"a/B", "A/b/c"}}));
  EXPECT_EQ(clashes({"a/b", "a/c", "ab"}), Clashes{});
  // What does not stand is in nobody's way.
  EXPECT_EQ(clashes({"a", "A/b", "a/b"}), (Clashes{{"A/b", "a"}, {"a/b", "a"}}));
}

TEST(FetchedRefs, MoveTogetherOrNotAtAll) {
  TestRepo repo;
  const auto repository = repo.repository();
  const auto first = repo.git({"rev-parse", "HEAD"});
  const auto second = repo.commit_all("second");
  const std::string prefix = fetched_prefix("s");
  ASSERT_TRUE(move_refs(repository, {{prefix + "a", first, ""}, {prefix + "b", second, ""}}, "test").has_value());
  EXPECT_EQ(*refs_beneath(repository, prefix), (std::map<std::string, ObjectId>{{prefix + "a", first}, {prefix + "b", second}}));
  const auto before = repo.fingerprint();
  // The second one is not where it is said to be.
  EXPECT_EQ(move_refs(repository, {{prefix + "a", second, first}, {prefix + "b", "", first}}, "test").error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(repo.fingerprint(), before);
  ASSERT_TRUE(move_refs(repository, {{prefix + "a", "", first}, {prefix + "b", first, second}}, "test").has_value());
  EXPECT_EQ(*refs_beneath(repository, prefix), (std::map<std::string, ObjectId>{{prefix + "b", first}}));
  EXPECT_TRUE(refs_beneath(repository, fetched_prefix("other"))->empty());
}

TEST(FetchedRefs, OnlyThoseThatAreNamedAreDeleted) {
  TestRepo repo;
  const auto repository = repo.repository();
  const auto tip = repo.git({"rev-parse", "HEAD"});
  const std::string prefix = fetched_prefix("s");
  ASSERT_TRUE(move_refs(repository, {{prefix + "a", tip, ""}, {prefix + "b/c", tip, ""}, {fetched_prefix("other") + "a", tip, ""}}, "test").has_value());
  repo.git({"pack-refs", "--all"});
  const auto before = repo.fingerprint();
  EXPECT_TRUE(delete_fetched(repository, "s", std::set<std::string>{"none", "../../../heads/main", "b"}, "test")->empty());
  EXPECT_EQ(repo.fingerprint(), before);
  EXPECT_EQ(*delete_fetched(repository, "s", std::set<std::string>{"a", "none"}, "test"), (std::map<std::string, ObjectId>{{"a", tip}}));
  EXPECT_EQ(*refs_beneath(repository, prefix), (std::map<std::string, ObjectId>{{prefix + "b/c", tip}}));
  EXPECT_EQ(*delete_fetched(repository, "s", std::nullopt, "test"), (std::map<std::string, ObjectId>{{"b/c", tip}}));
  EXPECT_EQ(refs_beneath(repository, fetched_prefix("other"))->size(), 1u);
  EXPECT_EQ(repo.git({"rev-parse", "main"}), tip);
}

TEST(FetchedRefs, ARemoteOfTheirName) {
  TestRepo repo;
  EXPECT_TRUE(check_no_such_remote(repo.repository()));
  repo.git({"config", "remote.locki.url", "/nowhere"});
  EXPECT_EQ(check_no_such_remote(repo.repository()).error().kind(), ErrorKind::kConflict);
}

TEST(FetchedRefs, SymbolicOnesAreRefused) {
  TestRepo repo;
  repo.git({"symbolic-ref", fetched_prefix("s") + "a", "refs/heads/main"});
  EXPECT_EQ(refs_beneath(repo.repository(), fetched_prefix("s")).error().kind(), ErrorKind::kConflict);
}

TEST(FetchedRefs, WhatWouldBeLost) {
  TestRepo repo;
  const auto repository = repo.repository();
  const auto base = repo.git({"rev-parse", "HEAD"});
  const std::string prefix = fetched_prefix("s");
  repo.git({"checkout", "-q", "-b", "work"});
  const auto mine = repo.commit_all("mine");
  repo.git({"checkout", "-q", "--detach"});
  const auto theirs = repo.commit_all("theirs");
  repo.git({"checkout", "-q", "main"});
  ASSERT_TRUE(move_refs(repository, {{prefix + "a", theirs, ""}, {prefix + "b", theirs, ""}, {prefix + "c", mine, ""}}, "test").has_value());
  EXPECT_EQ(*commits_lost(repository, theirs, {prefix + "*"}), 1u) << "all of the prefix goes at once";
  EXPECT_EQ(*commits_lost(repository, mine, {prefix + "*"}), 0u);
  EXPECT_EQ(*commits_lost(repository, mine, {prefix + "*", "refs/heads/work"}), 1u);
  repo.git({"tag", "kept", theirs});
  EXPECT_EQ(*commits_lost(repository, theirs, {prefix + "*"}), 0u);
  EXPECT_EQ(*commits_lost(repository, base, {prefix + "*"}), 0u);
}

// What was fetched from a sandbox goes with it: it keeps no commit of the branch that is to be deleted.
TEST(FetchedRefs, DoNotCountAsKeepingTheSandboxsBranch) {
  TestRepo repo;
  repo.git({"checkout", "-q", "-b", "s"});
  const auto tip = repo.commit_all("work");
  repo.git({"checkout", "-q", "main"});
  ASSERT_TRUE(move_refs(repo.repository(), {{fetched_prefix("s") + "a", tip, ""}}, "test").has_value());
  EXPECT_EQ(unmerged_commits(repo.repository(), "s")->size(), 1u);
  ASSERT_TRUE(move_refs(repo.repository(), {{fetched_prefix("another") + "a", tip, ""}}, "test").has_value());
  EXPECT_EQ(unmerged_commits(repo.repository(), "s")->size(), 0u);
}

}  // namespace
}  // namespace locki::git::test
