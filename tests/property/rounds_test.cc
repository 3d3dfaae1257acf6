// A hundred rounds of edits, git commands and kills on both sides. At the end both agree, git works on both, and whatever they had agreed on at any time is in the worktree, in a
// commit, or in the history. LOCKI_SEEDS=n tries n further courses.
#include <random>
#include <set>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

constexpr int kRounds = 100;

unsigned courses() {
  const char* more = ::getenv("LOCKI_SEEDS");
  return 1 + (more != nullptr ? static_cast<unsigned>(parse_u64(more).value_or(0)) : 0);
}

class Rounds : public ::testing::TestWithParam<unsigned> {
 protected:
  bool try_git(const fs::path& where, std::vector<std::string> args) const { return pair_.try_git(where, std::move(args)); }
  std::size_t pick(std::size_t below) { return random_() % below; }

  void edit(const fs::path& root, const std::string& who) {
    const fs::path at = root / ("d" + std::to_string(pick(4))) / ("f" + std::to_string(pick(8)));
    const std::size_t how = pick(12);
    if (take_away(at, how)) return;
    switch (how) {
      case 3:  // in another place than the other side, perhaps
        if (fs::exists(at)) write(at, who + " began " + std::to_string(++number_) + "\n" + read(at));
        break;
      default: {
        std::string text;
        for (std::size_t line = 0, lines = 1 + pick(200); line < lines; ++line) text += who + " " + std::to_string(number_) + " " + std::to_string(line) + "\n";
        ++number_;
        write(at, text);
      }
    }
  }

  void git_work(const fs::path& where, const std::string& who) {
    if (pick(3) == 0 && try_git(where, {"add", "-A"})) (void)try_git(where, {"commit", "-q", "-m", who + " " + std::to_string(++number_)});
    if (pick(8) == 0) (void)try_git(where, {"commit", "-q", "--amend", "--allow-empty", "-m", who + " again"});
    if (pick(8) == 0 && try_git(where, {"stash", "-q", "-u"})) (void)try_git(where, {"stash", "pop", "-q"});
    if (pick(12) == 0) (void)try_git(where, {"reset", "-q", "--soft", "HEAD~1"});
    if (pick(12) == 0) (void)try_git(where, {"checkout", "-q", "--", "."});
  }

  void kill_one() {
    switch (pick(4)) {
      case 0:
        pair_.kill_worker();
        return pair_.start();
      case 1:
        pair_.kill_endpoint();
        return pair_.start();
      default:
        return;
    }
  }

  void note_agreed() {
    for (auto it = fs::recursive_directory_iterator(pair_.host()); it != fs::recursive_directory_iterator(); ++it) {
      if (it->path().filename() == ".git") it.disable_recursion_pending();
      else if (it->is_regular_file()) agreed_.insert(read(it->path()));
    }
  }

  // What a repository's refs reach, as git's ids.
  std::set<std::string> objects_of(const fs::path& repository) const {
    std::set<std::string> ids;
    for (const auto& line : split_lines(pair_.git(repository, {"rev-list", "--objects", "--all"}))) ids.insert(line.substr(0, line.find(' ')));
    return ids;
  }

  void expect_nothing_lost() {
    note_agreed();
    std::set<std::string> kept = objects_of(pair_.path("repo"));
    kept.merge(objects_of(pair_.path("state") / "history"));
    for (auto it = fs::recursive_directory_iterator(pair_.host()); it != fs::recursive_directory_iterator(); ++it) {
      if (it->path().filename() == ".git") it.disable_recursion_pending();
      else if (it->is_regular_file()) kept.insert(read(it->path()));
    }
    std::size_t lost = 0;
    for (const std::string& content : agreed_) {
      if (kept.contains(content)) continue;
      write(pair_.path("one"), content);
      if (!kept.contains(pair_.git(pair_.path("repo"), {"hash-object", "--no-filters", pair_.path("one").string()}))) {
        ++lost;
        ADD_FAILURE() << "nowhere any more: " << content.substr(0, 60);
      }
    }
    EXPECT_EQ(lost, 0u) << "of " << agreed_.size();
    EXPECT_GT(agreed_.size(), 100u) << "too little happened";
  }

  MirrorPair pair_;
  std::mt19937 random_{GetParam()};
  std::set<std::string> agreed_;  // contents
  unsigned number_ = 0;
};

TEST_P(Rounds, LoseNothing) {
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0, edits = pick(12); i < edits; ++i) {
      const bool human = pick(2) == 0;
      edit(human ? pair_.host() : pair_.inside(), human ? "human" : "agent");
    }
    git_work(pair_.host(), "human");
    git_work(pair_.inside(), "agent");
    kill_one();
    if (pick(2) == 0) {
      ASSERT_TRUE(pair_.sync()) << "round " << round;
      EXPECT_EQ(pair_.stuck, std::vector<std::string>{}) << "round " << round;
      note_agreed();
    }
  }
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(listing(pair_.host()), listing(pair_.inside()));
  // Nobody's lock is left behind, and both say the same.
  for (const auto& where : {pair_.host(), pair_.inside()}) {
    pair_.git(where, {"add", "-A"});
    ASSERT_TRUE(pair_.sync());
  }
  pair_.commit(pair_.host(), "the end");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "HEAD"}), pair_.git(pair_.inside(), {"rev-parse", "HEAD"}));
  EXPECT_EQ(pair_.git(pair_.host(), {"status", "--porcelain"}), pair_.git(pair_.inside(), {"status", "--porcelain"}));
  EXPECT_FALSE(pair_.saw("violation"));
  EXPECT_EQ(pair_.stop().status, 0);
  expect_nothing_lost();
}

INSTANTIATE_TEST_SUITE_P(Courses, Rounds, ::testing::Range(1U, 1 + courses()));

}  // namespace
}  // namespace locki::mirror::test
