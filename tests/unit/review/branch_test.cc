// The return gate over real repositories, in this process and through the confined program.
#include <gtest/gtest.h>

#include <algorithm>

#include "review/request.h"
#include "unit/git/repo.h"

namespace locki::review {
namespace {

namespace fs = std::filesystem;
using git::test::TestRepo;
using V = std::vector<std::string>;

const fs::path kSource = LOCKI_SOURCE_DIR;

class ReviewBranch : public ::testing::Test {
 protected:
  Request request(const std::string& base) {
    return {.git = repo_.program().git,
            .home = repo_.program().home,
            .worktree = repo_.path(),
            .bases = {base},
            .tip = repo_.git({"rev-parse", "HEAD"}),
            .held_rules = *sys::read_file(kSource / "share/review/held.rules"),
            .return_rules = *sys::read_file(kSource / "share/review/return.rules")};
  }
  // Through the program, as the daemon does it.
  V found(const Request& request) {
    const auto report = ask(fs::path(LOCKI_BINARY_DIR) / "libexec/locki/review", request);
    EXPECT_TRUE(report) << (report ? "" : report.error().describe());
    V out;
    if (report)
      for (const Judged& finding : report->findings) out.push_back(std::string(to_string(finding.severity)) + " " + finding.rule + " " + finding.path + (finding.place == Place::kBranch ? "" : finding.place == Place::kWorktree ? " (not committed)" : " (" + finding.commit + ")"));
    return out;
  }

  TestRepo repo_;
  std::string base_ = repo_.git({"rev-parse", "HEAD"});
};

TEST_F(ReviewBranch, NothingChanged) { EXPECT_EQ(found(request(base_)), V{}); }

TEST_F(ReviewBranch, CommittedAndNot) {
  repo_.write("Makefile", "all:\n");
  repo_.write("src/a.c", "int a;\n");
  repo_.commit_all("work");
  repo_.write("CMakeLists.txt", "x()\n");
  repo_.write(".vscode/tasks.json", "{}\n");
  fs::create_symlink("src", repo_.path() / "data");
  EXPECT_EQ(found(request(base_)), (V{"high held .vscode/tasks.json (not committed)", "medium build CMakeLists.txt (not committed)", "medium build Makefile", "low symlink data (not committed)"}));
  auto committed_only = request(base_);
  committed_only.uncommitted = false;
  EXPECT_EQ(found(committed_only), V{"medium build Makefile"});
}

TEST_F(ReviewBranch, ACommittedFileThatWasEditedSinceIsFoundInBothForms) {
  repo_.write("Makefile", "all:\n");
  repo_.commit_all("work");
  repo_.write("Makefile", "all:\n\tcurl\n");
  auto both = found(request(base_));
  std::sort(both.begin(), both.end());
  EXPECT_EQ(both, (V{"medium build Makefile", "medium build Makefile (not committed)"}));
}

TEST_F(ReviewBranch, WhatGitIgnoresIsTheUsersUnlessItCameOut) {
  repo_.write(".gitignore", "build/\n*.mk\n");
  repo_.write("build/Makefile", "all:\n");
  repo_.write("hidden.mk", "all:\n");
  EXPECT_EQ(found(request(base_)), V{});
  auto with_known = request(base_);
  with_known.known = {".gitignore", "hidden.mk"};
  EXPECT_EQ(found(with_known), V{"medium build hidden.mk (not committed)"});
}

TEST_F(ReviewBranch, SeveralBasesCountTogether) {
  repo_.write("Makefile", "all:\n");
  const auto middle = repo_.commit_all("one");
  repo_.write("x.mk", "all:\n");
  repo_.commit_all("two");
  auto both = request(base_);
  both.bases.push_back(middle);
  EXPECT_EQ(found(both), (V{"medium build Makefile", "medium build x.mk"}));
}

TEST_F(ReviewBranch, WhatOnlyAnEarlierCommitHad) {
  repo_.write("src/a.c", "int a;\n");
  repo_.write("kept.mk", "all:\n");
  repo_.commit_all("start");
  const auto base = repo_.git({"rev-parse", "HEAD"});
  repo_.write(".vscode/tasks.json", "{}\n");
  repo_.write("odd\nname/Makefile", "one:\n");
  repo_.write("kept.mk", "all: changed\n");
  repo_.write("x.mk", "one:\n");
  repo_.commit_all("one");
  repo_.write("x.mk", "two:\n");
  const auto second = repo_.commit_all("two");
  repo_.write("odd\nname/Makefile", "two:\n");
  const auto third = repo_.commit_all("three");
  fs::remove_all(repo_.path() / ".vscode");
  fs::remove_all(repo_.path() / "odd\nname");
  fs::remove(repo_.path() / "x.mk");
  repo_.write("kept.mk", "all:\n");  // as it was: nothing
  repo_.commit_all("four");
  const auto first = repo_.git({"rev-parse", "HEAD~3"});
  auto list = found(request(base));
  std::sort(list.begin(), list.end());
  EXPECT_EQ(list, (V{"medium build kept.mk (" + first + ")", "medium build odd\nname/Makefile (" + third + ")", "medium build x.mk (" + second + ")", "medium held .vscode/tasks.json (" + first + ")", "medium name odd\nname/Makefile (" + third + ")"}));
  // What the tip has is said once.
  repo_.write("x.mk", "three:\n");
  repo_.commit_all("five");
  list = found(request(base));
  EXPECT_EQ(std::count_if(list.begin(), list.end(), [](const std::string& line) { return line.find("x.mk") != std::string::npos; }), 1);
}

TEST_F(ReviewBranch, MergesAndTooManyCommits) {
  repo_.git({"checkout", "-q", "-b", "side"});
  repo_.write("Makefile", "side:\n");
  const auto side = repo_.commit_all("side");
  repo_.git({"checkout", "-q", "-"});
  repo_.write("a", "a\n");
  repo_.commit_all("main");
  repo_.git({"merge", "-q", "--no-edit", "-s", "ours", "side"});
  EXPECT_EQ(found(request(base_)), V{"medium build Makefile (" + side + ")"});
  const auto repository = git::Repository::discover(repo_.program(), repo_.path());
  ASSERT_TRUE(repository);
  const auto rules = rules_of(request(base_));
  ASSERT_TRUE(rules);
  const auto report = review_history(*repository, base_, request(base_).tip, {}, *rules, {.commits = 1});
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->skipped, 2u);
}

TEST_F(ReviewBranch, TheUsersConfigurationWidensAndNarrows) {
  repo_.write("Makefile", "all:\n");
  repo_.write("deploy/x", "x\n");
  repo_.write("AGENTS.md", "x\n");
  repo_.commit_all("work");
  auto own = request(base_);
  own.report = {"/deploy/"};
  own.ignore = {"build Makefile"};
  own.allow = {"AGENTS.md"};
  EXPECT_EQ(found(own), V{"high yours deploy/x"});
  own.ignore = {"no such line"};
  EXPECT_FALSE(ask(fs::path(LOCKI_BINARY_DIR) / "libexec/locki/review", own));
}

TEST_F(ReviewBranch, NothingOfTheWorktreeRuns) {
  const auto canary = repo_.outside("ran");
  repo_.write("x.sh", "#!/bin/sh\ntouch " + canary.string() + "\ncat\n");
  fs::permissions(repo_.path() / "x.sh", fs::perms::owner_all);
  for (const char* key : {"filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "diff.evil.command"}) repo_.git({"config", key, (repo_.path() / "x.sh").string()});
  repo_.git({"config", "core.fsmonitor", (repo_.path() / "x.sh").string()});
  repo_.write(".gitattributes", "*.txt filter=evil diff=evil\n");
  repo_.write("a.txt", "x\n");
  const auto list = found(request(base_));
  EXPECT_FALSE(list.empty());
  // Racily clean: git has to look into the file.
  repo_.commit_all("work");
  fs::remove(canary);
  repo_.write("a.txt", "y\n");
  EXPECT_FALSE(found(request(base_)).empty());
  EXPECT_FALSE(fs::exists(canary)) << "a program of the worktree ran";
}

TEST_F(ReviewBranch, LargeFilesAreSaidAndTheirBeginningIsLookedAt) {
  repo_.write("tool", "\x7f" "ELF" + std::string(9 << 20, 'x'));
  repo_.commit_all("work");
  repo_.write("tool2", "\x7f" "ELF" + std::string(9 << 20, 'x'));
  EXPECT_EQ(found(request(base_)), (V{"high program tool", "high program tool2 (not committed)", "medium unread tool", "medium unread tool2 (not committed)"}));
}

TEST_F(ReviewBranch, ManyFiles) {
  for (int i = 0; i < 300; ++i) repo_.write("d" + std::to_string(i % 7) + "/f" + std::to_string(i), "text\n");
  repo_.write("d3/Makefile", "x:\n");
  repo_.commit_all("work");
  EXPECT_EQ(found(request(base_)), V{"medium build d3/Makefile"});
}

TEST_F(ReviewBranch, TreesThatNoWorktreeCanHold) {
  // Straight into the object store: names that no checkout would write.
  const auto blob = repo_.blob("x");
  const auto tree = repo_.tree({{"100644", "a\x1b[2J", blob}, {"160000", "sub", base_}, {"120000", "to", repo_.blob("../../etc/passwd")}});
  auto hostile = request(base_);
  hostile.tip = repo_.commit(tree, base_);
  hostile.uncommitted = false;
  EXPECT_EQ(found(hostile), (V{"high name a\x1b[2J", "high submodule sub", "low symlink to"}));
}

TEST(Merged, OneFindingForOneContent) {
  Report branch, worktree;
  branch.findings = {{{"a", "build", Severity::kMedium, "why", "new"}, Place::kBranch, {}, kModeFile, "11"}};
  worktree.findings = {{{"a", "build", Severity::kMedium, "why", "new"}, Place::kWorktree, {}, kModeFile, "11"}, {{"a", "held", Severity::kHigh, "why", ""}, Place::kWorktree, {}, kModeFile, "22"}};
  const Report all = merged({worktree, branch});
  ASSERT_EQ(all.findings.size(), 2u);
  EXPECT_EQ(all.findings[0].rule, "held");
  EXPECT_EQ(all.findings[1].place, Place::kBranch);
}

TEST(Answer, ABrokenOneIsAnError) {
  for (const char* text : {"{}", R"({"findings":[1],"changed":0,"skipped":0})", R"({"findings":[{"path":"a"}],"changed":0,"skipped":0})", R"({"findings":[],"changed":-1,"skipped":0})", R"({"findings":[],"changed":0,"skipped":-1})",
                           R"({"findings":[{"path":"a","rule":"r","severity":"low","why":"","detail":"","where":"history","mode":0,"content":"","commit":""}],"changed":0,"skipped":0})",
                           R"({"findings":[{"path":"a","rule":"r","severity":"low","why":"","detail":"","where":"branch","mode":0,"content":"","commit":"x"}],"changed":0,"skipped":0})",
                           R"({"findings":[{"path":"a","rule":"r","severity":"worst","why":"","detail":"","where":"branch","mode":0,"content":"","commit":""}],"changed":0,"skipped":0})"})
    EXPECT_FALSE(report_from_json(*json::parse_object(text))) << text;
}

}  // namespace
}  // namespace locki::review
