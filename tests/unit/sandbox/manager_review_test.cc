// The return gate and `remove --merged` through the use cases, on real repositories, without a machine: sandboxes at rest.
#include <gtest/gtest.h>

#include <algorithm>

#include "mirror/staging.h"
#include "sandbox/manager.h"
#include "unit/git/repo.h"

namespace locki::sandbox {
namespace {

namespace fs = std::filesystem;
using git::test::TestRepo;
using V = std::vector<std::string>;

class ManagerReview : public ::testing::Test {
 protected:
  ManagerReview() {
    const auto at = [this](const char* name) { return repo_.outside(name); };
    paths_ = {.home = at(""), .config = at("config"), .data = at("data"), .state = at("state"), .cache = at("cache"), .runtime = at("run")};
    for (const fs::path& path : {paths_.config, paths_.data, paths_.state, paths_.cache, paths_.runtime}) fs::create_directories(path);
    sys::Installation installation;
    installation.libexec = fs::path(LOCKI_BINARY_DIR) / "libexec/locki";
    installation.share = fs::path(LOCKI_SOURCE_DIR) / "share";
    auto manager = Manager::open(paths_, installation);
    EXPECT_TRUE(manager) << (manager ? "" : manager.error().describe());
    manager_ = std::move(*manager);
  }

  fs::path worktree(const std::string& name) const { return repo_.outside("wt-" + name); }
  // A sandbox at rest whose branch began at main.
  void sandbox(const std::string& name, bool made_branch = true) {
    repo_.git({"worktree", "add", "-q", "-B", name, worktree(name).string(), "main"});
    Record record{.id = RecordStore::id_of(repo_.repository().common_dir().native(), name), .name = name, .repo = repo_.path(), .git_dir = repo_.repository().common_dir(), .worktree = worktree(name)};
    record.base = repo_.git({"rev-parse", "main"});
    record.instance = "locki-" + record.id;
    record.address = "10.77.1." + std::to_string(++address_);
    record.created = "2026-01-02T03:04:05Z";
    record.made_branch = made_branch;
    record.upstream_of = "main";
    const auto saved = RecordStore(paths_.state / "sandboxes").save(record);
    ASSERT_TRUE(saved) << saved.error().describe();
  }
  void commit(const std::string& name, const std::string& file, const std::string& content) {
    fs::create_directories((worktree(name) / file).parent_path());
    ASSERT_TRUE(sys::write_file(worktree(name) / file, content));
    repo_.git({"add", "-A"}, {}, worktree(name));
    repo_.git({"commit", "-q", "-m", "inside"}, {}, worktree(name));
  }
  json::object review(const std::string& name, const std::string& into = "") {
    auto reply = manager_->review({{repo_.path(), name}, into}, {});
    EXPECT_TRUE(reply) << (reply ? "" : reply.error().describe());
    return reply ? *reply : json::object{};
  }
  static V paths(const json::object& reply) {
    V out;
    for (const auto& finding : *json::array_or_null(reply, "findings")) out.push_back(json::string_or(finding.get_object(), "path"));
    return out;
  }
  V remove_merged() {
    const auto removed = manager_->remove_merged(repo_.path(), {});
    EXPECT_TRUE(removed) << (removed ? "" : removed.error().describe());
    V out;
    for (const auto& name : *removed) out.emplace_back(name.get_string());
    return out;
  }
  bool has_branch(const std::string& name) { return !repo_.git({"for-each-ref", "refs/heads/" + name}).empty(); }

  TestRepo repo_;
  sys::Paths paths_;
  std::unique_ptr<Manager> manager_;
  int address_ = 1;
};

TEST_F(ManagerReview, FindsWhatChangedAndRemembersWhatWasShown) {
  sandbox("fix");
  commit("fix", "Makefile", "all:\n");
  ASSERT_TRUE(sys::write_file(worktree("fix") / "x.mk", "all:\n"));
  const auto first = review("fix");
  EXPECT_EQ(paths(first), (V{"Makefile", "x.mk"}));
  EXPECT_FALSE(json::bool_or(first, "shown_before"));
  EXPECT_TRUE(json::bool_or(review("fix"), "shown_before"));
  commit("fix", "y.mk", "all:\n");
  EXPECT_FALSE(json::bool_or(review("fix"), "shown_before")) << "another tip";
}

TEST_F(ManagerReview, AMergeBringsOnlyWhatIsCommittedAndNotThereYet) {
  sandbox("fix");
  commit("fix", "Makefile", "all:\n");
  ASSERT_TRUE(sys::write_file(worktree("fix") / "x.mk", "all:\n"));
  EXPECT_EQ(paths(review("fix", repo_.git({"rev-parse", "main"}))), V{"Makefile"});
  repo_.git({"merge", "-q", "fix"});
  fs::remove(worktree("fix") / "x.mk");
  commit("fix", "z.mk", "all:\n");
  EXPECT_EQ(paths(review("fix", repo_.git({"rev-parse", "main"}))), V{"z.mk"});
  const auto alone = repo_.commit(repo_.tree({}), "");
  EXPECT_EQ(manager_->review({{repo_.path(), "fix"}, alone}, {}).error().kind(), ErrorKind::kConflict);
}

TEST_F(ManagerReview, WhatTheUserCommittedToMainMeanwhileIsTheUsers) {
  sandbox("fix");
  commit("fix", "a.txt", "x\n");
  repo_.write("Makefile", "all:\n");
  repo_.commit_all("mine");
  repo_.git({"merge", "-q", "--no-edit", "main"}, {}, worktree("fix"));
  EXPECT_EQ(paths(review("fix")), V{});
}

TEST_F(ManagerReview, TheUsersConfigurationCounts) {
  sandbox("fix");
  commit("fix", "Makefile", "all:\n");
  commit("fix", "deploy/x", "x\n");
  commit("fix", ".myhooks/pre-commit", "x\n");
  repo_.git({"config", "core.hooksPath", ".myhooks"});
  ASSERT_TRUE(sys::write_file(paths_.config / "config.toml", "[review]\nreport = [\"/deploy/\"]\nignore = [\"build *\"]\n"));
  EXPECT_EQ(paths(review("fix")), (V{".myhooks/pre-commit", "deploy/x"}));
}

TEST_F(ManagerReview, RemoveMergedTakesWhatIsMergedAndNothingElse) {
  for (const char* name : {"merged", "open", "new", "dirty"}) sandbox(name);
  repo_.git({"branch", "users-own"});
  sandbox("users-own", false);
  for (const char* name : {"merged", "open", "dirty", "users-own"}) commit(name, std::string(name) + ".txt", "x\n");
  for (const char* name : {"merged", "dirty", "users-own"}) repo_.git({"merge", "-q", "--no-edit", name});
  ASSERT_TRUE(sys::write_file(worktree("dirty") / "unfinished", "x\n"));
  // What a killed mirror left beside the worktree.
  const fs::path unfinished = mirror::staging_beside(worktree("merged"));
  ASSERT_TRUE(sys::make_directories(unfinished, 0700) && sys::write_file(unfinished / "new-1", "x"));
  V removed = remove_merged();
  std::sort(removed.begin(), removed.end());
  EXPECT_EQ(removed, (V{"merged", "users-own"}));
  EXPECT_FALSE(fs::exists(unfinished));
  EXPECT_FALSE(has_branch("merged"));
  EXPECT_TRUE(has_branch("users-own")) << "it was there before locki";
  for (const char* name : {"open", "new", "dirty"}) EXPECT_TRUE(has_branch(name) && fs::exists(worktree(name))) << name;
  EXPECT_FALSE(fs::exists(worktree("merged")));
  EXPECT_EQ(remove_merged(), V{});
}

// What other branches had when the sandbox came to rest counts without waking anything.
TEST_F(ManagerReview, RemoveRefusesWhileABranchIsOnlyInside) {
  sandbox("fix");
  commit("fix", "a.txt", "x\n");
  const auto tip = repo_.git({"rev-parse", "fix"});
  const auto with = [&](std::map<std::string, std::string> branches) {
    const RecordStore store(paths_.state / "sandboxes");
    auto record = store.load(RecordStore::id_of(repo_.repository().common_dir().native(), "fix"));
    record->other_branches = std::move(branches);
    ASSERT_TRUE(store.save(*record));
  };
  const auto refusal = [&](bool delete_branch) {
    const auto removed = manager_->remove({.where = {repo_.path(), "fix"}, .force = false, .delete_branch = delete_branch}, {});
    return removed ? "" : removed.error().describe();
  };
  for (const std::string& gone : {std::string(40, 'a'), std::string("no id"), std::string()}) {
    with({{"two", gone}, {"three;", gone}});
    const std::string said = refusal(false);
    EXPECT_NE(said.find("a branch inside: two"), std::string::npos) << said;
    EXPECT_NE(said.find("a branch inside: three;"), std::string::npos) << said;
  }
  with({});
  {
    const RecordStore store(paths_.state / "sandboxes");
    auto record = store.load(RecordStore::id_of(repo_.repository().common_dir().native(), "fix"));
    record->stashes = 2;
    ASSERT_TRUE(store.save(*record));
    EXPECT_NE(refusal(false).find("2 stashes inside"), std::string::npos);
    record->stashes = 0;
    ASSERT_TRUE(store.save(*record));
  }
  with({{"same", tip}});
  EXPECT_NE(refusal(true).find("a branch inside: same"), std::string::npos) << "the sandbox's own branch would go, too";
  EXPECT_EQ(refusal(false), "") << "its commits stay on the branch";
}

}  // namespace
}  // namespace locki::sandbox
