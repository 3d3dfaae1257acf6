#include "vm/qemu/data_disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sys/file.h"

namespace locki::vm {
namespace {

class DataDiskTest : public testing::Test {
 protected:
  struct stat look() const {
    struct stat status {};
    ::lstat(disk_.c_str(), &status);
    return status;
  }
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  const std::filesystem::path disk_ = dir_.path() / "vm/data.img";
};

TEST_F(DataDiskTest, IsSparseAndPrivate) {
  ASSERT_TRUE(ensure_data_disk(disk_, 8ULL << 30, {}));
  EXPECT_EQ(look().st_size, 8LL << 30);
  EXPECT_LT(look().st_blocks, 100);
  EXPECT_EQ(look().st_mode & 0777, 0600u);
}

TEST_F(DataDiskTest, GrowsAndNeverShrinks) {
  ASSERT_TRUE(ensure_data_disk(disk_, 1 << 20, {}));
  ASSERT_TRUE(ensure_data_disk(disk_, 2 << 20, {}));
  EXPECT_EQ(look().st_size, 2 << 20);
  ASSERT_TRUE(ensure_data_disk(disk_, 1 << 20, {}));
  EXPECT_EQ(look().st_size, 2 << 20);
}

TEST_F(DataDiskTest, StartsFromTheGoldenOneOnce) {
  const auto golden = dir_.path() / "golden";
  ASSERT_TRUE(sys::write_file(golden, "golden"));
  ASSERT_TRUE(ensure_data_disk(disk_, 1 << 20, golden));
  EXPECT_EQ(sys::read_file(disk_)->substr(0, 6), "golden");
  EXPECT_EQ(look().st_size, 1 << 20);
  ASSERT_TRUE(sys::write_file(disk_, "mine"));
  ASSERT_TRUE(ensure_data_disk(disk_, 1 << 20, golden));
  EXPECT_EQ(sys::read_file(disk_)->substr(0, 4), "mine");
}

TEST_F(DataDiskTest, TheRestOfAKilledCopyIsNoDisk) {
  std::filesystem::create_directories(disk_.parent_path());
  ASSERT_TRUE(sys::write_file(disk_.native() + ".new", "half"));
  ASSERT_TRUE(ensure_data_disk(disk_, 1 << 20, {}));
  EXPECT_EQ(sys::read_file(disk_)->substr(0, 4), std::string(4, '\0'));
  EXPECT_FALSE(std::filesystem::exists(disk_.native() + ".new"));
}

TEST_F(DataDiskTest, DoesNotFollowALink) {
  std::filesystem::create_directories(disk_.parent_path());
  std::filesystem::create_symlink("/etc/hostname", disk_);
  EXPECT_FALSE(ensure_data_disk(disk_, 1 << 20, {}));
}

}  // namespace
}  // namespace locki::vm
