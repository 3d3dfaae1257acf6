#include "git/merge.h"

#include "git/filters.h"
#include "unit/git/repo.h"

namespace locki::git {
namespace {

using test::TestRepo;

class MergeTest : public ::testing::Test {
 protected:
  // A branch "work" with a commit of its own, and main checked out.
  std::string work(const std::string& file, const std::string& content) {
    repo_.git({"checkout", "-q", "-B", "work"});
    repo_.write(file, content);
    const auto tip = repo_.commit_all("from inside");
    repo_.git({"checkout", "-q", "main"});
    return tip;
  }
  sys::Output merge(const Merge& what, bool steered = false) {
    auto spec = merge_command(repo_.repository(), what, {});
    if (steered) {
      EXPECT_TRUE(disable_filters(repo_.repository(), spec));
      EXPECT_TRUE(disable_merge_drivers(repo_.repository(), spec));
    }
    return *sys::run(spec);
  }
  std::string why_not() { return (*why_not_mergeable(repo_.repository())).value_or(""); }

  TestRepo repo_;
};

TEST_F(MergeTest, CommandIsTheUsersGitWithoutHooks) {
  const auto spec = merge_command(repo_.repository(), {.tip = std::string(40, 'a'), .message = "Merge branch 'x'", .no_ff = true},
                                  {{"GPG_TTY", "/dev/pts/1"}, {"GIT_DIR", "/evil"}, {"LD_PRELOAD", "x"}, {"GIT_AUTHOR_NAME", "Me"}});
  const std::vector<std::string> tail(spec.args.end() - 7, spec.args.end());
  EXPECT_EQ(tail, (std::vector<std::string>{"merge", "--no-ff", "--no-edit", "-m", "Merge branch 'x'", "--", std::string(40, 'a')}));
  EXPECT_NE(std::find(spec.args.begin(), spec.args.end(), "core.hooksPath=/dev/null"), spec.args.end());
  EXPECT_EQ(std::find(spec.args.begin(), spec.args.end(), "commit.gpgSign=false"), spec.args.end()) << "the user's signing stays";
  EXPECT_TRUE(spec.environment.contains("GPG_TTY") && spec.environment.contains("GIT_AUTHOR_NAME"));
  EXPECT_FALSE(spec.environment.contains("GIT_DIR") || spec.environment.contains("LD_PRELOAD"));
}

TEST_F(MergeTest, ForwardNoForwardAndSquash) {
  const auto tip = work("a", "1\n");
  EXPECT_TRUE(merge({.tip = tip, .message = "Merge branch 'work'"}).exit.ok());
  EXPECT_EQ(repo_.git({"rev-parse", "HEAD"}), tip);
  repo_.git({"reset", "-q", "--hard", "HEAD~1"});
  EXPECT_TRUE(merge({.tip = tip, .message = "Merge branch 'work'", .no_ff = true}).exit.ok());
  EXPECT_EQ(repo_.git({"log", "-1", "--format=%s %an"}), "Merge branch 'work' Human");
  repo_.git({"reset", "-q", "--hard", "HEAD~1"});
  EXPECT_TRUE(merge({.tip = tip, .message = "", .squash = true}).exit.ok());
  EXPECT_EQ(repo_.git({"diff", "--cached", "--name-only"}), "a");
}

TEST_F(MergeTest, RefusesWhileSomethingIsUnderWayOrChanged) {
  EXPECT_EQ(why_not(), "");
  repo_.write("new file", "x");
  EXPECT_EQ(why_not(), "") << "git itself keeps untracked files";
  repo_.write("README", "changed\n");
  EXPECT_EQ(why_not(), "there are uncommitted changes, as in README");
  repo_.git({"add", "README"});
  EXPECT_NE(why_not(), "");
  repo_.git({"reset", "-q", "--hard"});
  const auto tip = work("README", "inside\n");
  repo_.write("README", "outside\n");
  repo_.commit_all("outside");
  EXPECT_FALSE(merge({.tip = tip, .message = "m"}).exit.ok());
  EXPECT_EQ(why_not(), "a merge is under way");
}

TEST_F(MergeTest, HooksDoNotRun) {
  const auto canary = repo_.outside("ran");
  repo_.git({"config", "core.hooksPath", ".husky"});
  const auto tip = work(".husky/post-merge", "#!/bin/sh\ntouch " + canary.string() + "\n");
  for (const char* hook : {"post-merge", "pre-merge-commit", "commit-msg", "post-checkout"}) {
    const auto file = repo_.path() / ".git/hooks" / hook;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "#!/bin/sh\ntouch " << canary.string() << "\n";
    fs::permissions(file, fs::perms::owner_all);
  }
  EXPECT_TRUE(merge({.tip = tip, .message = "m", .no_ff = true}).exit.ok());
  EXPECT_FALSE(fs::exists(canary));
}

// The branch's own attributes choose a filter and a driver that the user has configured for something else.
TEST_F(MergeTest, AttributesOfTheBranchSteerNothing) {
  const auto canary = repo_.outside("ran");
  const std::string evil = "sh -c 'touch " + canary.string() + "; cat'";
  repo_.git({"config", "filter.evil.smudge", evil});
  repo_.git({"config", "filter.evil.clean", evil});
  repo_.git({"config", "filter.evil.required", "true"});
  repo_.git({"config", "merge.evil.driver", "touch " + canary.string() + "; true"});
  repo_.write("f", "1\n2\n3\n4\n5\n");
  repo_.commit_all("base");
  repo_.git({"checkout", "-q", "-b", "work"});
  repo_.write("f", "1\n2\n3\n4\nfive\n");
  repo_.write(".gitattributes", "* filter=evil merge=evil\n");
  repo_.git({"-c", "filter.evil.clean=", "-c", "filter.evil.required=false", "add", "-A"});
  repo_.git({"-c", "filter.evil.clean=", "-c", "filter.evil.required=false", "commit", "-q", "-m", "inside"});
  const auto tip = repo_.git({"rev-parse", "HEAD"});
  repo_.git({"-c", "filter.evil.smudge=", "-c", "filter.evil.required=false", "checkout", "-q", "-f", "main"});
  repo_.write("f", "one\n2\n3\n4\n5\n");
  repo_.commit_all("outside");
  fs::remove(canary);
  const auto head = repo_.git({"rev-parse", "HEAD"});
  EXPECT_TRUE(*brings_attributes(repo_.repository(), head, tip));
  const auto done = merge({.tip = tip, .message = "m"}, true);
  EXPECT_TRUE(done.exit.ok()) << done.out << done.err;
  EXPECT_EQ(*sys::read_file(repo_.path() / "f"), "one\n2\n3\n4\nfive\n") << "git's own merge of text";
  EXPECT_FALSE(fs::exists(canary));
  // The payload is real: without the precaution it runs.
  repo_.git({"-c", "filter.evil.smudge=", "-c", "filter.evil.clean=", "-c", "filter.evil.required=false", "reset", "-q", "--hard", head});
  fs::remove(canary);
  merge({.tip = tip, .message = "m"}, false);
  EXPECT_TRUE(fs::exists(canary));
}

TEST_F(MergeTest, OrdinaryBranchesBringNoAttributes) {
  const auto head = repo_.git({"rev-parse", "HEAD"});
  EXPECT_FALSE(*brings_attributes(repo_.repository(), head, work("gitattributes", "x")));
  EXPECT_TRUE(*brings_attributes(repo_.repository(), head, work("sub/.GitAttributes", "x")));
}

TEST_F(MergeTest, MergeBases) {
  const auto head = repo_.git({"rev-parse", "HEAD"});
  const auto tip = work("a", "1");
  EXPECT_EQ(*repo_.repository().merge_bases(head, tip), std::vector<std::string>{head});
  const auto alone = repo_.commit(repo_.tree({}), "");
  EXPECT_TRUE(repo_.repository().merge_bases(alone, tip)->empty());
}

}  // namespace
}  // namespace locki::git
