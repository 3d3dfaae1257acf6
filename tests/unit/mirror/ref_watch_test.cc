#include "mirror/ref_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "sys/file.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;

class RefWatchTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(git_ / "refs/heads"); }
  // As git writes a ref: beside it, then renamed.
  void move_ref(const std::string& name) {
    fs::create_directories((git_ / name).parent_path());
    std::ofstream(git_ / (name + ".lock")) << "oid\n";
    fs::rename(git_ / (name + ".lock"), git_ / name);
  }
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  fs::path git_ = dir_.path() / "git";
};

TEST_F(RefWatchTest, SeesLooseAndPackedRefs) {
  auto watch = RefWatch::make(git_, "user/topic").value();
  ASSERT_TRUE(watch.armed());
  EXPECT_FALSE(watch.drain());
  move_ref("refs/heads/user/topic");  // its directory was not there
  EXPECT_TRUE(watch.drain());
  while (watch.drain()) {
  }
  move_ref("refs/heads/user/topic");
  EXPECT_TRUE(watch.drain());
  move_ref("packed-refs");
  EXPECT_TRUE(watch.drain());
  fs::create_directories(git_ / "objects/aa");
  while (watch.drain()) {
  }
  std::ofstream(git_ / "objects/aa/bb") << "x";
  EXPECT_FALSE(watch.drain()) << "objects are none of its business";
}

TEST_F(RefWatchTest, SaysWhenItCannotSee) {
  EXPECT_FALSE(RefWatch().armed());
  EXPECT_FALSE(RefWatch::make(git_ / "absent", "main").value().armed());
  fs::remove_all(git_ / "refs/heads");
  std::ofstream(git_ / "refs/heads") << "this repository uses the reftable format\n";
  EXPECT_FALSE(RefWatch::make(git_, "main").value().armed());
  fs::create_directories(git_ / "reftable");
  auto watch = RefWatch::make(git_, "main").value();
  ASSERT_TRUE(watch.armed());
  move_ref("reftable/tables.list");
  EXPECT_TRUE(watch.drain());
}

}  // namespace
}  // namespace locki::mirror
