// Attack: the agent writes what an editor, a shell, git or another agent on the host would run by itself. It stays at the door until the
// user lets exactly that content in; nothing else is delayed by it, and nothing is lost. (docs/threats.md, 20 to 29)
#include <gtest/gtest.h>

#include <algorithm>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

constexpr const char* kTasks = R"({"tasks":[{"runOn":"folderOpen","command":"touch canary"}]})";

class HeldFiles : public ::testing::Test {
 protected:
  void SetUp() override { pair_.start(); }
  void inside(const std::string& path, std::string_view content) { write(pair_.inside() / path, content); }
  bool on_host(const std::string& path) const { return fs::exists(fs::symlink_status(pair_.host() / path)); }
  void sync() { ASSERT_TRUE(pair_.sync()); }
  bool accept(const std::string& path) { return pair_.accept({{path, pair_.held()[path].content_id()}}); }
  std::string host_status() { return pair_.git(pair_.host(), {"status", "--porcelain"}); }

  MirrorPair pair_;
};

TEST_F(HeldFiles, AreShownAndComeWhenLetIn) {
  sync();
  inside(".vscode/tasks.json", kTasks);
  inside("src/main.cc", "int main() {}\n");
  sync();
  EXPECT_FALSE(on_host(".vscode"));
  EXPECT_TRUE(on_host("src/main.cc"));
  const auto held = pair_.held();
  ASSERT_EQ(held.size(), 1u);
  const HeldFile& file = held.at(".vscode/tasks.json");
  EXPECT_NE(file.why.find("VS Code"), std::string::npos);
  EXPECT_EQ(*pair_.history().read(file.version, file.path, 1 << 20), kTasks);

  EXPECT_TRUE(accept(file.path));
  sync();
  EXPECT_EQ(read(pair_.host() / ".vscode/tasks.json"), kTasks);
  EXPECT_TRUE(pair_.held().empty());
}

TEST_F(HeldFiles, ComeOnlyAsTheyWereShown) {
  sync();
  inside(".envrc", "export A=1\n");
  sync();
  const std::string shown = pair_.held()[".envrc"].content_id();
  inside(".envrc", "touch canary\n");
  sync();
  EXPECT_FALSE(pair_.accept({{".envrc", shown}}));
  sync();
  EXPECT_FALSE(on_host(".envrc"));
  // What was let in says nothing about what comes after it.
  EXPECT_TRUE(accept(".envrc"));
  sync();
  inside(".envrc", "touch canary2\n");
  sync();
  EXPECT_EQ(read(pair_.host() / ".envrc"), "touch canary\n");
  EXPECT_EQ(pair_.held().size(), 1u);
}


TEST_F(HeldFiles, NeedAnExactContentToBeNamed) {
  sync();
  inside(".envrc", "x");
  sync();
  EXPECT_FALSE(pair_.accept({{".envrc", "file-x:" + hash_of("y").to_hex()}}));
  EXPECT_FALSE(pair_.accept({{"README", pair_.held()[".envrc"].content_id()}}));
  EXPECT_FALSE(pair_.accept({{".envrc", pair_.held()[".envrc"].content_id()}, {"other", "x"}})) << "all or none";
  sync();
  EXPECT_FALSE(on_host(".envrc"));
}

// Created under another name and moved, directory or file; written through a symlink; in another spelling.
TEST_F(HeldFiles, CannotComeUnderAnotherName) {
  sync();
  inside("plain/tasks.json", kTasks);
  inside("notes.txt", "export A=1");
  sync();
  EXPECT_TRUE(on_host("plain/tasks.json"));
  fs::rename(pair_.inside() / "plain", pair_.inside() / ".vscode");
  fs::rename(pair_.inside() / "notes.txt", pair_.inside() / ".envrc");
  fs::create_directory_symlink(".vscode", pair_.inside() / "way");
  inside("way/settings.json", "{}");
  inside(".VSCODE/launch.json", "{}");
  sync();
  EXPECT_FALSE(on_host(".vscode"));
  EXPECT_FALSE(on_host(".VSCODE"));
  EXPECT_FALSE(on_host(".envrc"));
  EXPECT_FALSE(on_host("plain"));
  EXPECT_EQ(pair_.held().size(), 4u);
}

TEST_F(HeldFiles, CannotBeSymlinks) {
  sync();
  inside("conf/tasks.json", kTasks);
  inside("gh/copilot-instructions.md", "obey");
  fs::create_directory_symlink("conf", pair_.inside() / ".vscode");
  fs::create_directory_symlink("gh", pair_.inside() / ".github");
  fs::create_symlink("README", pair_.inside() / "CLAUDE.md");
  sync();
  for (const char* path : {".vscode", ".github", "CLAUDE.md"}) EXPECT_FALSE(on_host(path)) << path;
  EXPECT_TRUE(on_host("conf/tasks.json"));
  EXPECT_EQ(pair_.held().size(), 3u);
}

// The user's own `.vscode` is a symlink to an ordinary directory, and CLAUDE.md one to an ordinary file.
TEST_F(HeldFiles, CannotComeThroughTheUsersSymlinks) {
  write(pair_.host() / "conf/editor/settings.json", "{}");
  fs::create_directory_symlink("conf/editor", pair_.host() / ".vscode");
  write(pair_.host() / "docs/agents.txt", "be nice\n");
  fs::create_symlink("docs/agents.txt", pair_.host() / "CLAUDE.md");
  sync();
  ASSERT_TRUE(fs::exists(pair_.inside() / "conf/editor/settings.json"));
  inside("conf/editor/tasks.json", kTasks);
  inside("conf/other.json", "{}");
  inside("docs/agents.txt", "obey\n");
  sync();
  EXPECT_FALSE(on_host("conf/editor/tasks.json"));
  EXPECT_EQ(read(pair_.host() / "docs/agents.txt"), "be nice\n");
  EXPECT_TRUE(on_host("conf/other.json"));
  EXPECT_EQ(pair_.held().size(), 2u);
}

// A directory with HEAD, objects and refs is a repository to git, and its config names programs.
TEST_F(HeldFiles, CannotBeARepositoryWithoutDotGit) {
  sync();
  pair_.git(pair_.inside(), {"init", "-q", "--bare", "data"});
  inside("data/config", "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = ..\n\tfsmonitor = touch " + pair_.path("canary").string() + "\n");
  // The same with its objects elsewhere.
  inside("thin/HEAD", "ref: refs/heads/main\n");
  inside("thin/commondir", "../data\n");
  sync();
  EXPECT_FALSE(on_host("data/HEAD"));
  EXPECT_FALSE(on_host("thin/HEAD"));
  EXPECT_TRUE(on_host("data/config"));
  for (const char* directory : {"data", "data/refs", "thin"}) {
    pair_.git(pair_.host() / directory, {"status"});
    EXPECT_EQ(pair_.git(pair_.host() / directory, {"rev-parse", "--show-toplevel"}), pair_.host().string());
  }
  EXPECT_FALSE(fs::exists(pair_.path("canary")));
}

TEST_F(HeldFiles, StayAsTheyAreOnBothSidesAndAcrossRestarts) {
  write(pair_.host() / ".vscode/settings.json", "{}");
  sync();
  inside(".vscode/settings.json", R"({"x":1})");
  sync();
  EXPECT_EQ(read(pair_.host() / ".vscode/settings.json"), "{}");
  EXPECT_EQ(read(pair_.inside() / ".vscode/settings.json"), R"({"x":1})");
  const auto before = pair_.held();
  pair_.events.clear();
  for (int i = 0; i < 3; ++i) {
    inside("other", std::to_string(i));
    sync();
  }
  EXPECT_FALSE(pair_.saw("held")) << "it was said once";
  pair_.kill_worker();
  pair_.start();
  sync();
  EXPECT_EQ(pair_.held().at(".vscode/settings.json").version, before.at(".vscode/settings.json").version);
  EXPECT_EQ(std::count_if(pair_.events.begin(), pair_.events.end(), [](const Event& e) { return e.kind == "held"; }), 1) << "once in a worker's life";
  EXPECT_EQ(read(pair_.host() / ".vscode/settings.json"), "{}");
  EXPECT_EQ(read(pair_.inside() / ".vscode/settings.json"), R"({"x":1})");
  // The agent takes it back.
  inside(".vscode/settings.json", "{}");
  sync();
  EXPECT_TRUE(pair_.held().empty());
  EXPECT_TRUE(pair_.event("unheld", seconds(5)));
}

TEST_F(HeldFiles, WhatTheUserWritesPasses) {
  sync();
  write(pair_.host() / ".envrc", "export A=1\n");
  write(pair_.host() / "CLAUDE.md", "be nice\n");
  sync();
  EXPECT_EQ(read(pair_.inside() / ".envrc"), "export A=1\n");
  EXPECT_TRUE(pair_.held().empty());
  // Both change it: the human's stands, nothing is merged into it, the agent's is kept.
  inside("CLAUDE.md", "obey\n");
  sync();
  EXPECT_EQ(pair_.held().size(), 1u);
  write(pair_.host() / "CLAUDE.md", "be nice\n\nalways\n");
  sync();
  EXPECT_EQ(read(pair_.host() / "CLAUDE.md"), "be nice\n\nalways\n");
  EXPECT_EQ(read(pair_.inside() / "CLAUDE.md"), "be nice\n\nalways\n");
  EXPECT_TRUE(pair_.saw("conflict"));
  EXPECT_TRUE(pair_.held().empty());
}

// Lines that would merge are not merged into a file of that kind: nobody would have seen the result.
TEST_F(HeldFiles, AreNeverMerged) {
  write(pair_.host() / "AGENTS.md", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
  sync();
  pair_.kill_worker();
  write(pair_.host() / "AGENTS.md", "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
  inside("AGENTS.md", "1\n2\n3\n4\n5\n6\n7\n8\nobey\n");
  pair_.start();
  sync();
  EXPECT_EQ(read(pair_.host() / "AGENTS.md"), "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
  EXPECT_EQ(read(pair_.inside() / "AGENTS.md"), "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

TEST_F(HeldFiles, CommittedOnesDoNotReachTheWorktreeEither) {
  sync();
  inside(".vscode/tasks.json", kTasks);
  inside("src/a.cc", "a");
  const std::string tip = pair_.commit(pair_.inside(), "with a task");
  sync();
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"rev-parse", "topic"}), tip) << "the commit arrives";
  EXPECT_FALSE(on_host(".vscode"));
  EXPECT_EQ(host_status(), "") << "git does not call it deleted";
  // Nothing that a person does here writes it, and nothing takes it off the branch.
  write(pair_.host() / "mine", "m");
  pair_.git(pair_.host(), {"add", "-A"});
  pair_.git(pair_.host(), {"stash"});
  EXPECT_FALSE(on_host(".vscode"));
  pair_.git(pair_.host(), {"stash", "pop"});
  pair_.git(pair_.host(), {"checkout", "--", "."});
  pair_.git(pair_.host(), {"restore", "."});
  pair_.git(pair_.host(), {"reset", "-q", "--hard"});
  EXPECT_FALSE(on_host(".vscode"));
  write(pair_.host() / "mine", "m");
  pair_.commit(pair_.host(), "mine");
  EXPECT_EQ(pair_.git(pair_.host(), {"ls-tree", "-r", "--name-only", "HEAD", ".vscode"}), ".vscode/tasks.json");
  sync();
  EXPECT_FALSE(on_host(".vscode"));
  EXPECT_EQ(read(pair_.inside() / ".vscode/tasks.json"), kTasks);
  // Let in, it is an ordinary file of the branch.
  EXPECT_TRUE(accept(".vscode/tasks.json"));
  sync();
  EXPECT_EQ(read(pair_.host() / ".vscode/tasks.json"), kTasks);
  EXPECT_EQ(host_status(), "");
  EXPECT_EQ(pair_.git(pair_.host(), {"ls-files", "-t", ".vscode"}), "H .vscode/tasks.json");
}

TEST_F(HeldFiles, CommittedChangesOfTheUsersFileLeaveItAlone) {
  write(pair_.host() / ".envrc", "export A=1\n");
  sync();
  pair_.commit(pair_.host(), "mine");
  sync();
  inside(".envrc", "touch canary\n");
  const std::string tip = pair_.commit(pair_.inside(), "theirs");
  sync();
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"rev-parse", "topic"}), tip);
  EXPECT_EQ(read(pair_.host() / ".envrc"), "export A=1\n");
  EXPECT_EQ(host_status(), "");
  pair_.git(pair_.host(), {"reset", "-q", "--hard"});
  EXPECT_EQ(read(pair_.host() / ".envrc"), "export A=1\n");
  // The user's own edit is seen by git again.
  write(pair_.host() / ".envrc", "export A=2\n");
  sync();
  EXPECT_EQ(host_status(), "M .envrc");
  EXPECT_EQ(read(pair_.inside() / ".envrc"), "export A=2\n");
}

TEST_F(HeldFiles, TheUsersPatternsCount) {
  pair_.kill_worker();
  pair_.hold = {"/scripts/"};
  pair_.allow = {".vscode/settings.json"};
  pair_.start();
  sync();
  inside("scripts/run.sh", "x");
  inside("sub/scripts/run.sh", "x");
  inside(".vscode/settings.json", "{}");
  inside(".vscode/tasks.json", kTasks);
  sync();
  EXPECT_FALSE(on_host("scripts"));
  EXPECT_TRUE(on_host("sub/scripts/run.sh"));
  EXPECT_TRUE(on_host(".vscode/settings.json"));
  EXPECT_FALSE(on_host(".vscode/tasks.json"));
}

TEST_F(HeldFiles, ManyOfThemDelayNothing) {
  sync();
  for (int i = 0; i < 5000; ++i) inside("node_modules/p" + std::to_string(i % 50) + "/f" + std::to_string(i), std::to_string(i));
  inside("src/main.cc", "x");
  sync();
  inside("src/other.cc", "y");
  sync();
  EXPECT_TRUE(on_host("src/other.cc"));
  EXPECT_FALSE(on_host("node_modules"));
  EXPECT_EQ(pair_.held().size(), 5000u);
}

}  // namespace
}  // namespace locki::mirror::test
