#include "git/objects.h"

#include "unit/git/repo.h"

namespace locki::git {
namespace {

using test::TestRepo;
using namespace std::string_literals;

const std::string kId(40, 'a');

TEST(Objects, RawChanges) {
  const auto changes = parse_raw_changes(":100644 000000 " + kId + " " + std::string(40, '0') + " D\0a b/c\n\0"s);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 1u);
  EXPECT_EQ(changes->front().path, "a b/c\n");
  EXPECT_EQ(changes->front().new_mode, "000000");
  for (const std::string& bad : {"x"s, ":100644 100644 "s + kId + " M\0a\0"s, ":1 2 3 4 5\0a\0"s, ":100644 100644 "s + kId + " " + kId + " M\0"s}) EXPECT_FALSE(parse_raw_changes(bad)) << bad;
}

TEST(Objects, TreeListings) {
  const auto entries = parse_tree_listing("120000 blob " + kId + "\tx\ty\0"s);
  ASSERT_TRUE(entries);
  EXPECT_EQ(entries->front().path, "x\ty");
  for (const std::string& bad : {"120000 blob "s + kId + "\0"s, "blob "s + kId + "\tx\0"s, "120000 blob abc\tx\0"s}) EXPECT_FALSE(parse_tree_listing(bad)) << bad;
}

TEST(Objects, BlobsInOrderAndBounded) {
  TestRepo repo;
  const auto repository = repo.repository();
  const MakeCommand command = [&](std::vector<std::string> args) { return repository.common_command(std::move(args)); };
  const auto small = repo.blob("small\n\0x"s), empty = repo.blob(""), large = repo.blob(std::string(200'000, 'y'));
  const auto blobs = read_blobs(command, {large, small, empty, small}, 1000);
  ASSERT_TRUE(blobs) << blobs.error().describe();
  EXPECT_FALSE((*blobs)[0].whole);
  EXPECT_EQ((*blobs)[0].content, std::string(64 << 10, 'y'));
  EXPECT_EQ((*blobs)[1].content, "small\n\0x"s);
  EXPECT_TRUE((*blobs)[2].whole && (*blobs)[2].content.empty());
  EXPECT_EQ((*blobs)[3].content, "small\n\0x"s);
  EXPECT_TRUE(read_blobs(command, {}, 10)->empty());
  EXPECT_FALSE(read_blobs(command, {kId}, 10)) << "it is not there";
  EXPECT_FALSE(read_blobs(command, {repo.git({"rev-parse", "HEAD"})}, 1000)) << "a commit";
}

}  // namespace
}  // namespace locki::git
