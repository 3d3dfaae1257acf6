#include "git/worktree.h"

#include "unit/git/repo.h"

namespace locki::git::test {
namespace {

// A hook and a filter that leave a mark when they run.
void plant_traps(const TestRepo& repo) {
  const auto mark = repo.outside("ran").string();
  for (const char* hook : {"post-checkout", "reference-transaction", "post-commit"}) {
    const auto file = repo.path() / ".git" / "hooks" / hook;
    std::ofstream(file) << "#!/bin/sh\ntouch " << mark << "-hook\n";
    fs::permissions(file, fs::perms::all);
  }
  repo.git({"config", "filter.evil.clean", "touch " + mark + "-filter; cat"});
  repo.git({"config", "filter.evil.smudge", "touch " + mark + "-filter; cat"});
  repo.git({"config", "filter.evil.required", "true"});
  repo.git({"config", "core.fsmonitor", "touch " + mark + "-monitor; false"});
}

bool trapped(const TestRepo& repo) {
  return fs::exists(repo.outside("ran-hook")) || fs::exists(repo.outside("ran-filter")) || fs::exists(repo.outside("ran-monitor"));
}

TEST(Worktree, NewBranchWithoutRunningAnything) {
  TestRepo repo;
  repo.write(".gitattributes", "* filter=evil\n");
  repo.commit_all("attributes");
  plant_traps(repo);
  const auto path = repo.outside("worktrees") / "feature";
  ASSERT_TRUE(add_worktree(repo.repository(), {path, "feature"}).has_value());
  EXPECT_TRUE(fs::exists(path / "README"));
  EXPECT_FALSE(*is_dirty(repo.repository(), path));
  std::ofstream(path / "README") << "changed";
  EXPECT_TRUE(*is_dirty(repo.repository(), path));
  EXPECT_FALSE(trapped(repo));
  // The traps do work.
  (void)repo.try_git({"status"});
  (void)repo.try_git({"commit", "--allow-empty", "-m", "x"});
  EXPECT_TRUE(trapped(repo));
}

TEST(Worktree, ExistingBranchAndFrom) {
  TestRepo repo;
  const auto first = repo.git({"rev-parse", "HEAD"});
  repo.write("b", "b");
  const auto second = repo.commit_all("second");
  repo.git({"branch", "topic", first});
  ASSERT_TRUE(add_worktree(repo.repository(), {repo.outside("topic"), "topic"}).has_value());
  EXPECT_FALSE(fs::exists(repo.outside("topic") / "b"));
  ASSERT_TRUE(add_worktree(repo.repository(), {repo.outside("other"), "other", first}).has_value());
  EXPECT_EQ(repo.git({"rev-parse", "other"}), first);
  const auto worktrees = list_worktrees(repo.repository());
  ASSERT_EQ(worktrees->size(), 3u);
  EXPECT_EQ((*worktrees)[0].head, second);
  for (const std::string name : {"topic", "other"}) {
    const auto found = std::find_if(worktrees->begin(), worktrees->end(), [&](const auto& worktree) { return worktree.branch == name; });
    ASSERT_NE(found, worktrees->end());
    EXPECT_EQ(found->path, repo.outside(name));
  }
}

TEST(Worktree, RefusesWhatIsTaken) {
  TestRepo repo;
  const auto on_main = add_worktree(repo.repository(), {repo.outside("w"), "main"});
  ASSERT_FALSE(on_main.has_value());
  EXPECT_EQ(on_main.error().kind(), ErrorKind::kExists);
  fs::create_directory(repo.outside("full"));
  std::ofstream(repo.outside("full") / "x") << "x";
  EXPECT_FALSE(add_worktree(repo.repository(), {repo.outside("full"), "topic"}).has_value());
  EXPECT_FALSE(add_worktree(repo.repository(), {repo.outside("w"), "-bad"}).has_value());
  EXPECT_FALSE(add_worktree(repo.repository(), {repo.outside("w"), "topic", "no-such-rev"}).has_value());
  EXPECT_FALSE(fs::exists(repo.outside("w")));
  EXPECT_FALSE(repo.repository().ref("refs/heads/topic")->has_value());
}

TEST(Worktree, RemovedAndPruned) {
  TestRepo repo;
  const auto path = repo.outside("w");
  ASSERT_TRUE(add_worktree(repo.repository(), {path, "topic"}).has_value());
  std::ofstream(path / "untracked") << "x";
  repo.git({"worktree", "lock", path.string()});
  ASSERT_TRUE(remove_worktree(repo.repository(), path).has_value());
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(list_worktrees(repo.repository())->size(), 1u);
  EXPECT_TRUE(remove_worktree(repo.repository(), path).has_value());
  EXPECT_FALSE(remove_worktree(repo.repository(), repo.path()).has_value());
  EXPECT_TRUE(fs::exists(repo.path() / "README"));
  // A directory deleted by hand does not keep its branch busy.
  ASSERT_TRUE(add_worktree(repo.repository(), {path, "topic"}).has_value());
  fs::remove_all(path);
  EXPECT_TRUE(add_worktree(repo.repository(), {path, "topic"}).has_value());
}

TEST(Worktree, UnmergedCommits) {
  TestRepo repo;
  ASSERT_TRUE(add_worktree(repo.repository(), {repo.outside("w"), "topic"}).has_value());
  EXPECT_TRUE(unmerged_commits(repo.repository(), "topic")->empty());
  repo.git({"commit", "-q", "--allow-empty", "-m", "only here \x1b[31m"}, {}, repo.outside("w"));
  const auto commits = unmerged_commits(repo.repository(), "topic");
  ASSERT_EQ(commits->size(), 1u);
  EXPECT_NE(commits->front().find("only here"), std::string::npos);
  EXPECT_EQ(commits->front().find('\x1b'), std::string::npos);
  repo.git({"merge", "-q", "topic"});
  EXPECT_TRUE(unmerged_commits(repo.repository(), "topic")->empty());
  const auto tip = repo.git({"rev-parse", "topic"});
  EXPECT_FALSE(delete_branch(repo.repository(), "topic", std::string(40, '1')).has_value());
  ASSERT_TRUE(remove_worktree(repo.repository(), repo.outside("w")).has_value());
  EXPECT_TRUE(delete_branch(repo.repository(), "topic", tip).has_value());
  EXPECT_FALSE(repo.repository().ref("refs/heads/topic")->has_value());
}

}  // namespace
}  // namespace locki::git::test
