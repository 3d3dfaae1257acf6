#include "git/repository.h"

#include "unit/git/repo.h"

namespace locki::git::test {
namespace {

TEST(Command, NothingFromTheConfigurationRuns) {
  const auto spec = command({"/usr/bin/git", "/home/u"}, Config::kUser, "/repo", {"status"});
  EXPECT_EQ(spec.program, "/usr/bin/git");
  EXPECT_EQ(spec.args.front(), "--no-pager");
  EXPECT_EQ(spec.args.back(), "status");
  for (const char* must : {"core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.allow=never"}) {
    const auto at = std::find(spec.args.begin(), spec.args.end(), must);
    ASSERT_NE(at, spec.args.end()) << must;
    EXPECT_EQ(*(at - 1), "-c");
  }
  EXPECT_EQ(spec.environment.at("HOME"), "/home/u");
  EXPECT_EQ(spec.environment.at("GIT_TERMINAL_PROMPT"), "0");
  EXPECT_EQ(spec.environment.at("GIT_OPTIONAL_LOCKS"), "0");
  EXPECT_FALSE(spec.environment.contains("GIT_CONFIG_GLOBAL"));
}

TEST(Command, OurOwnStoresSeeNoConfiguration) {
  const auto spec = command({"/usr/bin/git", "/home/u"}, Config::kOurs, "/store", {"gc"});
  EXPECT_EQ(spec.environment.at("GIT_CONFIG_GLOBAL"), "/dev/null");
  EXPECT_EQ(spec.environment.at("GIT_CONFIG_NOSYSTEM"), "1");
  EXPECT_NE(spec.environment.at("HOME"), "/home/u");
}

TEST(Repository, KnowsWhatItIs) {
  TestRepo repo;
  repo.write("sub/x", "x");
  const auto found = Repository::discover(repo.program(), repo.path() / "sub");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->toplevel(), fs::canonical(repo.path()));
  EXPECT_EQ(found->common_dir(), fs::canonical(repo.path()) / ".git");
  EXPECT_FALSE(found->is_bare());
  EXPECT_EQ(found->object_format(), "sha1");
  EXPECT_TRUE(*found->has_commit());
  EXPECT_EQ(*found->current_branch(), "main");
  EXPECT_EQ(*found->user_name(), "Human");
  EXPECT_EQ(*found->user_email(), "human@example.org");
  EXPECT_EQ(*found->default_base(), repo.git({"rev-parse", "HEAD"}));
  EXPECT_EQ(*found->resolve("main"), repo.git({"rev-parse", "HEAD"}));
  EXPECT_EQ(**found->ref("refs/heads/main"), repo.git({"rev-parse", "HEAD"}));
  EXPECT_FALSE(found->ref("refs/heads/absent")->has_value());
}

TEST(Repository, BareAndEmptyAndAbsent) {
  TestRepo repo(false);
  EXPECT_FALSE(*repo.repository().has_commit());
  const auto base = repo.repository().default_base();
  ASSERT_FALSE(base.has_value());
  EXPECT_FALSE(base.error().hint().empty());
  repo.git({"init", "-q", "--bare", repo.outside("bare").string()});
  const auto bare = Repository::discover(repo.program(), repo.outside("bare"));
  ASSERT_TRUE(bare.has_value());
  EXPECT_TRUE(bare->is_bare());
  // A repository's own directory is no place to work in, and says so.
  const auto within = Repository::discover(repo.program(), repo.path() / ".git");
  ASSERT_FALSE(within.has_value());
  EXPECT_NE(within.error().message().find("inside a git directory"), std::string::npos);
  fs::create_directory(repo.outside("plain"));
  const auto none = Repository::discover(repo.program(), repo.outside("plain"));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
}

TEST(Repository, RevisionsAreNotOptions) {
  TestRepo repo;
  for (const char* bad : {"", "-h", "--all", "nope", "main\nmain"})
    EXPECT_FALSE(repo.repository().resolve(bad).has_value()) << bad;
}

TEST(Repository, ReadsFilesOfACommit) {
  TestRepo repo;
  repo.write("locki.toml", "x = 1\n");
  fs::create_symlink("/etc/passwd", repo.path() / "link");
  const auto tip = repo.commit_all("second");
  EXPECT_EQ(**repo.repository().file_at(tip, "locki.toml"), "x = 1\n");
  EXPECT_FALSE(repo.repository().file_at(tip, "absent")->has_value());
  EXPECT_FALSE(repo.repository().file_at(tip, "link")->has_value());
}

TEST(Branch, Names) {
  for (const char* good : {"main", "my-feature", "user/topic", "v1.2", "ünicode"})
    EXPECT_FALSE(why_bad_branch(good)) << good;
  for (const char* bad :
       {"",   "-x",  "a..b", "a b", "a/",  "/a",   "a//b",  ".a", "a/.b", "a.lock", "a.lock/b", "a~1",
        "a^", "a:b", "a?",   "a*",  "a[b", "a\\b", "a@{1}", "@",  "HEAD", "a.",     "a\tb",     "a\x7f"}) {
    EXPECT_TRUE(why_bad_branch(bad)) << bad;
  }
}

// Our own overrides stand for nothing of the user's: what the door holds depends on it.
TEST(RepositoryConfig, IsTheUsersAndNotOurOverrides) {
  test::TestRepo repo;
  EXPECT_EQ(*repo.repository().config("core.hooksPath"), "");
  EXPECT_EQ(*repo.repository().config("commit.gpgSign"), "");
  repo.git({"config", "core.hooksPath", ".githooks"});
  EXPECT_EQ(*repo.repository().config("core.hooksPath"), ".githooks");
  EXPECT_EQ(*repo.repository().config("user.name"), "Human");
}

}  // namespace
}  // namespace locki::git::test
