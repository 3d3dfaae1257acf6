// A clone whose history was there before it: pack files of the host, taken in, shared and adopted.
#include "endpoint/history.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/strings.h"
#include "endpoint/init_clone.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::endpoint {
namespace {

namespace fs = std::filesystem;

class HistoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(path("outer"));
    git("outer", {"init", "-q", "-b", "work"});
    shared_ = commit("shared");
    branch_ = commit("of the branch");
    git("outer", {"checkout", "-q", "-b", "secret", shared_});
    secret_ = commit("of another branch");
    fs::create_directories(path("volume"));
    name_ = git("outer", {"pack-objects", "--revs", "-q", path("volume/pack")}, shared_ + "\n");
  }
  fs::path path(const std::string& name) const { return temporary_.path() / name; }
  std::string git(const std::string& where, std::vector<std::string> args, const std::string& input = "") const {
    args.insert(args.begin(), {"-c", "user.name=H", "-c", "user.email=h@example.org"});
    auto out = sys::run_ok({.program = git_, .args = std::move(args), .environment = Repository::environment(), .directory = path(where)}, input);
    EXPECT_TRUE(out.has_value()) << (out ? "" : out.error().describe());
    return std::string(trim(out.value_or("")));
  }
  std::string commit(const std::string& text) const {
    std::ofstream(path("outer/" + text)) << text;
    git("outer", {"add", "-A"});
    git("outer", {"commit", "-q", "-m", text});
    return git("outer", {"rev-parse", "HEAD"});
  }
  Result<> clone(const std::string& history) const {
    auto bytes = sys::run_ok({.program = git_, .args = {"pack-objects", "--revs", "--stdout", "--thin", "-q"}, .environment = Repository::environment(), .directory = path("outer")},
                             branch_ + "\n^" + shared_ + "\n");
    std::ofstream(path("pack"), std::ios::trunc) << bytes.value_or("");
    const auto fd = sys::open_file(path("pack"), O_RDONLY);
    return init_clone(fd->get(), {.repository = {.git = git_, .root = path("inside"), .branch = "work"}, .oid = branch_, .helper_directory = "", .history = history});
  }
  Result<> take(const std::string& content, std::uint64_t size, const Hash& hash) const {
    std::ofstream(path("sent"), std::ios::trunc) << content;
    const auto fd = sys::open_file(path("sent"), O_RDONLY);
    return take_file(fd->get(), path("taken"), size, hash);
  }

  sys::TemporaryDirectory temporary_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  std::string git_ = *sys::find_program("git");
  std::string shared_, branch_, secret_, name_;
};

TEST_F(HistoryTest, TakesExactlyWhatWasSent) {
  const std::string text = "some bytes";
  ASSERT_TRUE(take(text, text.size(), hash_of(text)));
  EXPECT_EQ(*sys::read_file(path("taken")), text);
  fs::remove(path("taken"));
  EXPECT_EQ(take(text, text.size() + 1, hash_of(text)).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(take(text, text.size() - 1, hash_of(text)).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(take(text, text.size(), hash_of("other")).error().kind(), ErrorKind::kCorrupt);
  EXPECT_FALSE(fs::exists(path("taken")));
}

TEST_F(HistoryTest, ACloneBuildsOnIt) {
  ASSERT_TRUE(link_history(path("volume"), path("staged")));
  const auto made = clone(path("staged"));
  ASSERT_TRUE(made) << made.error().describe();
  EXPECT_FALSE(fs::exists(path("staged")));
  const fs::path packs = path("inside/.git/objects/pack");
  for (const char* kind : {".pack", ".idx", ".keep"}) EXPECT_TRUE(fs::exists(packs / ("pack-" + name_ + kind))) << kind;
  EXPECT_EQ(git("inside", {"rev-parse", "HEAD"}), branch_);
  EXPECT_EQ(git("inside", {"log", "--format=%s"}), "of the branch\nshared");
  EXPECT_EQ(git("inside", {"fsck", "--strict"}), "");
  EXPECT_EQ(git("inside", {"status", "--porcelain"}), "");
  EXPECT_FALSE(sys::run_ok({.program = git_, .args = {"cat-file", "-e", secret_}, .environment = Repository::environment(), .directory = path("inside")}));
  // Repacking leaves the shared one as it is.
  git("inside", {"gc", "-q"});
  EXPECT_TRUE(fs::exists(packs / ("pack-" + name_ + ".pack")));
  EXPECT_TRUE(fs::exists(path("volume/pack-" + name_ + ".pack")));
}

TEST_F(HistoryTest, GoesOnAfterBeingCutShortAndForgetsWhatTheAttemptHad) {
  ASSERT_TRUE(link_history(path("volume"), path("staged")));
  // Killed between two files; and the attempt had got what is not the branch's.
  fs::create_directories(path("inside/.git/objects/pack"));
  std::ofstream(path("inside/.git/locki-unfinished")) << "";
  fs::rename(path("staged/pack-" + name_ + ".pack"), path("inside/.git/objects/pack/pack-" + name_ + ".pack"));
  git("outer", {"pack-objects", "--revs", "-q", path("inside/.git/objects/pack/pack")}, secret_ + "\n");
  ASSERT_TRUE(link_history(path("volume"), path("staged")));
  const auto made = clone(path("staged"));
  ASSERT_TRUE(made) << made.error().describe();
  EXPECT_EQ(git("inside", {"fsck", "--strict"}), "");
  EXPECT_FALSE(sys::run_ok({.program = git_, .args = {"cat-file", "-e", secret_}, .environment = Repository::environment(), .directory = path("inside")}));
}

TEST_F(HistoryTest, AnEmptyVolumeIsNoHistory) {
  fs::create_directories(path("empty"));
  EXPECT_EQ(link_history(path("empty"), path("staged")).error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace locki::endpoint
