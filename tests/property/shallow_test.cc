// A sandbox that got only the newest part of a long history: both ways, with both real programs.
#include <gtest/gtest.h>

#include <csignal>

#include "git/pack.h"
#include "git/shallow.h"
#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class Shallow : public ::testing::Test {
 protected:
  static constexpr int kCommits = 300;
  static constexpr std::size_t kMost = 40;

  void SetUp() override {
    (void)::signal(SIGPIPE, SIG_IGN);
    make_history();
    tip_ = pair_.git(pair_.host(), {"rev-parse", "HEAD"});
    if (host_is_shallow()) {
      // What git fetch --depth leaves: no commit graph, which knows parents that are not there any more.
      write(pair_.path("repo/.git/shallow"), pair_.git(pair_.host(), {"rev-parse", "topic~50"}) + "\n");
      fs::remove(pair_.path("repo/.git/objects/info/commit-graph"));
    }
    auto history = git::newest_history(pair_.repository(), tip_, host_is_shallow() ? 0 : kMost);
    ASSERT_TRUE(history.has_value()) << history.error().describe();
    history_ = *history;
    ASSERT_EQ(history_.cut, !host_is_shallow());
    clone();
  }
  virtual bool host_is_shallow() const { return false; }
  // A line of commits, a side branch of its beginning that was merged at its end, and a file that only old commits have.
  // Bitmaps and a commit graph, as a repository of that size has: they answer without asking for the boundary.
  void make_history() {
    std::string stream;
    const auto data = [](const std::string& text) { return "data " + std::to_string(text.size()) + "\n" + text + "\n"; };
    const auto commit = [&](const std::string& branch, int number, const std::string& rest) {
      stream += "commit refs/heads/" + branch + "\nmark :" + std::to_string(number) + "\ncommitter H <h@example.org> " + std::to_string(1'600'000'000 + number * 60) + " +0000\n" +
                data("commit " + std::to_string(number)) + rest;
    };
    const std::string base = pair_.git(pair_.host(), {"rev-parse", "HEAD"});
    for (int i = 1; i <= kCommits; ++i) {
      std::string rest = i == 1 ? "from " + base + "\n" : "";
      rest += "M 100644 inline f" + std::to_string(i % 7) + "\n" + data("content " + std::to_string(i));
      if (i == 3) rest += "M 100644 inline ancient.txt\n" + data("only long ago");
      if (i == 30) rest += "D ancient.txt\n";
      commit("topic", i, rest);
    }
    commit("side", kCommits + 1, "from :5\nM 100644 inline side.txt\n" + data("side"));
    commit("topic", kCommits + 2, "merge :" + std::to_string(kCommits + 1) + "\nM 100644 inline side.txt\n" + data("side"));
    const auto git = pair_.repository();
    auto imported = sys::run_ok(git.common_command({"fast-import", "--quiet", "--force"}), stream);
    ASSERT_TRUE(imported.has_value()) << imported.error().describe();
    pair_.git(pair_.host(), {"reset", "-q", "--hard", "topic"});
    pair_.git(pair_.path("repo"), {"repack", "-adbq"});
    pair_.git(pair_.path("repo"), {"commit-graph", "write", "--reachable"});
  }
  // As sandbox/container.cc does it.
  void clone() {
    const auto pack_file = pair_.path("pack"), boundary = pair_.path("boundary");
    auto pack = *sys::open_file(pack_file, O_RDWR | O_CREAT);
    auto spec = git::pack_command(pair_.repository(), pack.get());
    const auto packed = sys::run_ok(spec, *git::pack_revisions(pair_.repository(), tip_, {}, history_.boundary));
    ASSERT_TRUE(packed.has_value()) << packed.error().describe();
    ASSERT_TRUE(sys::write_file(boundary, git::boundary_text(history_.boundary)));
    fs::create_directory(pair_.path("state"));
    ASSERT_TRUE(sys::write_file(pair_.path("state") / kBoundaryFile, git::boundary_text(history_.boundary)));
    auto in = *sys::open_file(pack_file, O_RDONLY);
    const auto made = sys::run_ok({.program = LOCKI_ENDPOINT,
                                   .args = {"--init-clone", "--root", pair_.inside().string(), "--branch", "topic", "--oid", tip_, "--shallow", boundary.string(), "--user-name", "Agent",
                                            "--user-email", "agent@example.org", "--helper-dir", ""},
                                   .environment = sys::clean_environment(),
                                   .in = in.get()});
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    EXPECT_FALSE(fs::exists(boundary)) << "it was taken";
  }
  std::string inside(std::vector<std::string> args) const { return pair_.git(pair_.inside(), std::move(args)); }
  std::string host(std::vector<std::string> args) const { return pair_.git(pair_.host(), std::move(args)); }
  void expect_sound() {
    EXPECT_EQ(inside({"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
    EXPECT_EQ(host({"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
  }

  MirrorPair pair_;
  std::string tip_;
  git::History history_;
};

TEST_F(Shallow, EndsCleanlyAtTheBoundary) {
  EXPECT_EQ(inside({"rev-list", "--count", "HEAD"}), std::to_string(kMost + history_.boundary.size()));
  EXPECT_EQ(inside({"rev-parse", "--is-shallow-repository"}), "true");
  EXPECT_EQ(inside({"log", "-1", "--format=%s", "HEAD^2"}), "commit " + std::to_string(kCommits + 1)) << "a merge has both parents, however old";
  EXPECT_EQ(inside({"status", "--porcelain"}), "");
  inside({"log", "-p"});
  inside({"blame", "f1"});
  inside({"gc", "-q"});
  expect_sound();
}

TEST_F(Shallow, WorkComesOutAndGoesIn) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "made.txt", "inside");
  const auto made = pair_.commit(pair_.inside(), "made inside");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(host({"rev-parse", "topic"}), made);
  EXPECT_EQ(host({"rev-list", "--count", "topic"}), std::to_string(kCommits + 4)) << "the host's history is whole";
  expect_sound();
  // What only commits behind the boundary have comes back.
  host({"checkout", "-q", "topic~100", "--", "."});
  host({"show", "topic~290:ancient.txt"});
  write(pair_.host() / "ancient.txt", host({"show", "topic~290:ancient.txt"}));
  const auto revived = pair_.commit(pair_.host(), "old things again");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(inside({"rev-parse", "HEAD"}), revived);
  EXPECT_EQ(inside({"show", "HEAD:ancient.txt"}), "only long ago");
  expect_sound();
  // Rewritten inside, from the oldest commit but the boundary on.
  const auto kept = inside({"rev-parse", "HEAD~10"});
  inside({"reset", "-q", "--hard", kept});
  const auto rewritten = pair_.commit(pair_.inside(), "another way");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(host({"rev-parse", "topic"}), rewritten);
  expect_sound();
}

// The user merges what forked off behind the boundary, or goes back there: it arrives with all that it needs.
TEST_F(Shallow, TheUserReachesBehindTheBoundary) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  const auto forked = host({"commit-tree", "-p", "topic~200", "-m", "forked long ago", "topic~200^{tree}"});
  host({"merge", "-q", "--no-ff", "-s", "ours", "-m", "merge it", forked});
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(inside({"rev-parse", "HEAD"}), host({"rev-parse", "topic"}));
  EXPECT_EQ(inside({"log", "-1", "--format=%s", "HEAD^2"}), "forked long ago");
  expect_sound();
}

// The user's own repository is a shallow clone: the sandbox's ends where it does.
class ShallowHost : public Shallow {
  bool host_is_shallow() const override { return true; }
};

TEST_F(ShallowHost, WorkComesOutAndGoesIn) {
  EXPECT_EQ(inside({"rev-list", "--count", "HEAD"}), host({"rev-list", "--count", "HEAD"}));
  EXPECT_EQ(inside({"rev-parse", "--is-shallow-repository"}), "true");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "made.txt", "inside");
  const auto made = pair_.commit(pair_.inside(), "made inside");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(host({"rev-parse", "topic"}), made);
  const auto back = pair_.commit(pair_.host(), "made here");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(inside({"rev-parse", "HEAD"}), back);
  expect_sound();
}

TEST_F(Shallow, OtherBranchesComeOut) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  inside({"checkout", "-q", "-b", "other", "HEAD~20"});
  write(pair_.inside() / "other.txt", "other");
  const auto other = pair_.commit(pair_.inside(), "other");
  inside({"checkout", "-q", "topic"});
  const auto reply = pair_.reply(pair_.request({{"request", "branches"}, {"names", json::array{}}}));
  ASSERT_TRUE(reply && json::bool_or(*reply, "ok"));
  EXPECT_EQ(host({"rev-parse", "locki/topic/other"}), other);
  expect_sound();
}

}  // namespace
}  // namespace locki::mirror::test
