// copy_sparse(), also between two file systems where there are two.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"

namespace locki::sys {
namespace {

class CopySparse : public testing::TestWithParam<const char*> {};

TEST_P(CopySparse, CarriesContentHolesAndSize) {
  if (::access(GetParam(), W_OK) != 0) GTEST_SKIP() << "no " << GetParam() << " to write to here";
  auto from = *TemporaryDirectory::make("/tmp", "locki-test");
  auto to = *TemporaryDirectory::make(GetParam(), "locki-test");
  const std::string piece(300'000, 'x');
  const auto source = from.path() / "source", copy = to.path() / "copy";
  ASSERT_TRUE(write_file(source, piece));
  ASSERT_EQ(::truncate(source.c_str(), 64 << 20), 0);
  {
    Fd fd = *open_file(source, O_WRONLY);
    ASSERT_EQ(::pwrite(fd.get(), piece.data(), piece.size(), 40 << 20), static_cast<ssize_t>(piece.size()));
  }
  const auto copied = copy_sparse(source, copy);
  ASSERT_TRUE(copied) << copied.error().describe();
  EXPECT_EQ(*read_file(copy, 128 << 20), *read_file(source, 128 << 20));
  struct stat status {};
  ASSERT_EQ(::stat(copy.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 64 << 20);
  EXPECT_LT(status.st_blocks * 512, 8 << 20);
}

INSTANTIATE_TEST_SUITE_P(Places, CopySparse, testing::Values("/tmp", "/dev/shm", "/var/tmp"));

}  // namespace
}  // namespace locki::sys
