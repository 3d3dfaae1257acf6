// Either program of the mirror is killed at each step that changes something on disk (sys/fault.h), all of them by name; the next one goes on,
// and afterwards both sides agree and nothing that either side had is lost.
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

// What is done on both sides while no mirror runs, so that the next one meets it all at once.
enum class Work { kFiles, kBothCommit, kClash, kRewritten, kUserCommits, kBranches, kCrash, kRest };

struct Point {
  const char* name;
  Work work;
  bool far = false;  // the endpoint is killed, not the worker
};

constexpr Point kPoints[] = {
    {"tree.written", Work::kFiles},       {"tree.exchanged", Work::kFiles},      {"tree.placed", Work::kFiles},        {"tree.aside", Work::kFiles},
    {"tree.removed", Work::kFiles},       {"tree.directory", Work::kFiles},      {"tree.symlink", Work::kFiles},       {"base.append", Work::kFiles},
    {"base.appended", Work::kFiles},      {"base.snapshot", Work::kFiles},       {"history.recorded", Work::kFiles},   {"history.kept", Work::kFiles},
    {"history.held", Work::kFiles},       {"held.save", Work::kFiles},           {"round.preserved", Work::kFiles},    {"round.merged", Work::kFiles},
    {"round.finished", Work::kFiles},     {"index.marked", Work::kFiles},        {"pack.moving", Work::kFiles},        {"commit.checked", Work::kFiles},
    {"commit.migrated", Work::kFiles},    {"commit.moved", Work::kFiles},        {"commit.agreed", Work::kFiles},      {"commit.followed", Work::kFiles},
    {"commit.diverged", Work::kClash}, {"commit.rewritten", Work::kRewritten}, {"commit.sent", Work::kUserCommits}, {"branches.migrated", Work::kBranches},
    {"branches.moved", Work::kBranches},  {"tree.written", Work::kFiles, true},  {"tree.exchanged", Work::kFiles, true}, {"tree.placed", Work::kFiles, true},
    {"tree.aside", Work::kFiles, true},   {"tree.removed", Work::kFiles, true},  {"tree.directory", Work::kFiles, true}, {"tree.symlink", Work::kFiles, true},
    {"round.intended", Work::kFiles},     {"recovery.judged", Work::kCrash},     {"recovery.noted", Work::kCrash},     {"durable.flushed", Work::kRest},
    {"far.unpacked", Work::kUserCommits, true}, {"far.moved", Work::kUserCommits, true}, {"index.prepared", Work::kFiles}, {"index.locked", Work::kFiles},
    {"index.replaced", Work::kFiles},     {"index.prepared", Work::kUserCommits, true}, {"index.locked", Work::kUserCommits, true}, {"index.replaced", Work::kUserCommits, true},
    {"far.replayed", Work::kBothCommit, true}, {"far.moved", Work::kBothCommit, true}, {"index.locked", Work::kBothCommit, true}, {"commit.sent", Work::kBothCommit},
    {"commit.moved", Work::kBothCommit}};

std::string twenty_lines() {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

class Killed : public ::testing::TestWithParam<Point> {
 protected:
  void SetUp() override {
    (void)::signal(SIGPIPE, SIG_IGN);
    write(pair_.host() / "text", twenty_lines());
    for (const char* name : {"both", "host-changes", "host-removes", "far-changes", "far-removes"}) write(pair_.host() / name, "first");
    pair_.commit(pair_.host(), "begin");
    pair_.start();
    ASSERT_TRUE(pair_.sync());
    write(pair_.inside() / "agreed", "a");
    pair_.commit(pair_.inside(), "from inside, agreed");
    ASSERT_TRUE(pair_.sync());
    pair_.kill_worker();
  }

  void change_files() {
    const fs::path host = pair_.host(), inside = pair_.inside();
    write(host / "text", "human\n" + twenty_lines());
    write(inside / "text", twenty_lines() + "agent\n");
    write(host / "both", "of the human");
    write(inside / "both", "of the agent");
    for (const auto& [root, side] : {std::pair{host, std::string("host")}, {inside, std::string("far")}}) {
      write(root / (side + "-changes"), side + " changed it");
      fs::remove(root / (side + "-removes"));
      write(root / (side + "-new"), "new");
      fs::create_directory(root / (side + "-directory"));
      fs::create_symlink("agreed", root / (side + "-link"));
    }
    write(inside / ".envrc", "export A=1\n");
    // More objects than are stored one by one.
    for (int i = 0; i < 120; ++i) write(inside / "many" / std::to_string(i), std::to_string(i));
    tip_ = pair_.commit(inside, "from inside");
  }
  void work() {
    switch (GetParam().work) {
      case Work::kFiles:
        return change_files();
      case Work::kBothCommit:
        write(pair_.inside() / "agents", "a");
        tip_ = pair_.commit(pair_.inside(), "of the agent");
        write(pair_.host() / "humans", "h");
        users_ = pair_.commit(pair_.host(), "of the user");
        return;
      case Work::kClash:
        write(pair_.inside() / "both", "of the agent");
        tip_ = pair_.commit(pair_.inside(), "of the agent");
        write(pair_.host() / "both", "of the user");
        users_ = pair_.commit(pair_.host(), "of the user");
        return;
      case Work::kRewritten:
        old_ = pair_.git(pair_.inside(), {"rev-parse", "HEAD"});
        pair_.git(pair_.inside(), {"commit", "-q", "--amend", "-m", "amended"});
        tip_ = pair_.git(pair_.inside(), {"rev-parse", "HEAD"});
        return;
      case Work::kUserCommits:
        write(pair_.host() / "humans", "h");
        tip_ = pair_.commit(pair_.host(), "of the user");
        return;
      case Work::kCrash:
        pair_.far_boot = "another";
        fs::remove(pair_.inside() / "both");  // as an older disk has it
        [[fallthrough]];
      case Work::kRest:
        write(pair_.host() / "humans", "h");
        return;
      case Work::kBranches:
        pair_.git(pair_.inside(), {"checkout", "-q", "-b", "other"});
        write(pair_.inside() / "other", "o");
        tip_ = pair_.commit(pair_.inside(), "other");
        pair_.git(pair_.inside(), {"checkout", "-q", "topic"});
        return;
    }
  }
  // False when the mirror ended before it answered.
  bool bring() {
    if (!pair_.sync()) return false;
    if (GetParam().work == Work::kRest) return pair_.durable();
    if (GetParam().work != Work::kBranches) return true;
    const auto reply = pair_.reply(pair_.request({{"request", "branches"}, {"names", json::array{}}}));
    return reply && json::bool_or(*reply, "ok");
  }
  std::string host(std::vector<std::string> args) const { return pair_.git(pair_.host(), std::move(args)); }

  void expect_sound() {
    auto inside = listing(pair_.inside());
    inside.erase(".envrc");  // held
    EXPECT_EQ(listing(pair_.host()), inside);
    for (const auto& [name, what] : inside) EXPECT_EQ(name.find(".locki-tmp"), std::string::npos) << name;
    for (const auto& staging : {pair_.path("state/staging"), pair_.inside() / ".git/locki-staging", pair_.path(".worktree.locki-staging"), pair_.path(".inside.locki-staging")})
      EXPECT_TRUE(!fs::exists(staging) || fs::is_empty(staging)) << staging;
    EXPECT_EQ(host({"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
    EXPECT_EQ(pair_.git(pair_.inside(), {"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
    EXPECT_EQ(pair_.git(pair_.inside(), {"rev-parse", "topic"}), host({"rev-parse", "topic"}));
    EXPECT_FALSE(pair_.saw("violation"));
  }
  void expect_outcome() {
    switch (GetParam().work) {
      case Work::kFiles: {
        EXPECT_EQ(host({"rev-parse", "topic"}), tip_);
        EXPECT_EQ(read(pair_.host() / "text"), "human\n" + twenty_lines() + "agent\n");
        EXPECT_EQ(read(pair_.host() / "both"), "of the human");
        bool kept = false;
        const History history = pair_.history();
        const std::vector<Version> versions = history.list().value_or(std::vector<Version>{});
        for (const Version& version : versions) kept |= version.kept_path == "both" && history.read(version.id, "both", 1000).value_or("") == "of the agent";
        EXPECT_TRUE(kept) << "the agent's version is in the history";
        EXPECT_TRUE(pair_.held().contains(".envrc"));
        EXPECT_FALSE(fs::exists(pair_.host() / ".envrc"));
        for (const char* name : {"host-removes", "far-removes"}) EXPECT_FALSE(fs::exists(pair_.host() / name)) << name;
        for (const char* side : {"host", "far"}) EXPECT_EQ(read(pair_.host() / (std::string(side) + "-changes")), std::string(side) + " changed it");
        // What git says of the held file: nothing.
        EXPECT_EQ(host({"status", "--porcelain", "--", ".envrc", "many"}), "");
        return;
      }
      case Work::kBothCommit:
        EXPECT_EQ(host({"log", "--format=%s", "-2", "topic"}), "of the agent\nof the user");
        EXPECT_EQ(host({"rev-parse", "topic~1"}), users_);
        EXPECT_EQ(host({"status", "--porcelain"}), "");
        EXPECT_EQ(pair_.git(pair_.inside(), {"status", "--porcelain"}), "");
        return;
      case Work::kClash:
        EXPECT_EQ(host({"rev-parse", "topic"}), users_);
        EXPECT_NE(host({"for-each-ref", "--format=%(objectname)", "refs/locki/test/diverged-" + tip_.substr(0, 12)}), "");
        return;
      case Work::kRewritten:
        EXPECT_EQ(host({"rev-parse", "topic"}), tip_);
        EXPECT_NE(host({"for-each-ref", "--format=%(objectname)", "refs/locki/test/rewritten-" + old_.substr(0, 12)}), "");
        return;
      case Work::kUserCommits:
        EXPECT_EQ(host({"rev-parse", "topic"}), tip_);
        EXPECT_EQ(pair_.git(pair_.inside(), {"status", "--porcelain"}), "");
        return;
      case Work::kCrash:
        EXPECT_EQ(read(pair_.host() / "both"), "first");
        [[fallthrough]];
      case Work::kRest:
        EXPECT_EQ(read(pair_.inside() / "humans"), "h");
        return;
      case Work::kBranches:
        EXPECT_EQ(host({"rev-parse", "locki/topic/other"}), tip_);
        return;
    }
  }

  MirrorPair pair_;
  std::string tip_, users_, old_;
};

TEST_P(Killed, TheNextOneGoesOn) {
  work();
  (GetParam().far ? pair_.far_fault : pair_.fault) = GetParam().name;
  pair_.start();
  EXPECT_FALSE(bring()) << "it was not killed";
  if (GetParam().far) {
    EXPECT_EQ(pair_.wait_endpoint().signal, SIGKILL) << "nothing came by there";
    (void)pair_.wait_worker();
  } else {
    EXPECT_EQ(pair_.wait_worker().signal, SIGKILL) << "nothing came by there";
    pair_.kill_worker();  // and the endpoint ends with it
  }
  pair_.fault = pair_.far_fault = "";
  pair_.start();
  ASSERT_TRUE(bring());
  expect_sound();
  expect_outcome();
  EXPECT_EQ(pair_.stop().status, 0);
}

INSTANTIATE_TEST_SUITE_P(Points, Killed, ::testing::ValuesIn(kPoints), [](const auto& one) {
  std::string name = std::string(one.param.far ? "endpoint_" : "worker_") + one.param.name + (one.param.work == Work::kBothCommit ? "_both" : "");
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

// The list above names every point there is.
TEST(FaultPoints, EachIsTested) {
  std::set<std::string> known, there;
  for (const Point& point : kPoints) known.insert(point.name);
  const std::string_view call = "fault_point(\"";
  for (const char* folder : {"src/mirror", "src/git", "src/endpoint"}) {
    for (const auto& file : fs::directory_iterator(fs::path(LOCKI_SOURCE_DIR) / folder)) {
      if (file.path().extension() != ".cc") continue;
      const std::string text = read(file.path());
      for (auto at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
        const auto begin = at + call.size();
        there.insert(text.substr(begin, text.find('"', begin) - begin));
      }
    }
  }
  EXPECT_EQ(there, known);
}

}  // namespace
}  // namespace locki::mirror::test
