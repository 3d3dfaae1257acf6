#include "git/history_pack.h"

#include "git/shallow.h"
#include "unit/git/repo.h"

namespace locki::git::test {
namespace {

TEST(HistoryPack, IsCompleteAndHoldsNothingElse) {
  TestRepo repo;
  repo.write("a", "one");
  const auto shared = repo.commit_all("shared");
  repo.write("a", "two");
  const auto later = repo.commit_all("later");
  const auto out = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  const auto pack = write_history_pack(repo.repository(), shared, {}, out.path());
  ASSERT_TRUE(pack.has_value()) << pack.error().describe();
  ASSERT_GE(pack->files.size(), 2u);
  EXPECT_EQ(pack->files.front().extension(), ".pack");
  EXPECT_EQ(pack->files.back().extension(), ".idx");
  EXPECT_GT(pack->bytes, 0u);
  TestRepo other;
  for (const auto& file : pack->files) fs::copy_file(file, other.path() / ".git/objects/pack" / file.filename());
  EXPECT_TRUE(other.try_git({"rev-list", "--objects", shared}).has_value());
  EXPECT_FALSE(other.try_git({"cat-file", "-e", later}).has_value());
}

TEST(HistoryPack, EndsAtTheBoundary) {
  TestRepo repo;
  repo.write("a", "one");
  const auto old = repo.commit_all("old");
  repo.write("a", "two");
  repo.commit_all("middle");
  repo.write("a", "three");
  const auto tip = repo.commit_all("tip");
  const auto history = newest_history(repo.repository(), tip, 1);
  ASSERT_TRUE(history.has_value() && history->cut);
  const auto out = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  const auto pack = write_history_pack(repo.repository(), tip, history->boundary, out.path());
  ASSERT_TRUE(pack.has_value()) << pack.error().describe();
  TestRepo other;
  for (const auto& file : pack->files) fs::copy_file(file, other.path() / ".git/objects/pack" / file.filename());
  EXPECT_TRUE(other.try_git({"cat-file", "-e", tip}).has_value());
  EXPECT_FALSE(other.try_git({"cat-file", "-e", old}).has_value());
}

TEST(HistoryPack, SizesAreKnownBeforehand) {
  TestRepo repo;
  const auto first = repo.git({"rev-parse", "HEAD"});
  std::string noise;
  for (std::uint32_t i = 0, x = 1; i < 400'000; ++i) noise += static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  repo.write("noise", noise);
  const auto tip = repo.commit_all("noise");
  const auto stored = stored_bytes(repo.repository());
  ASSERT_TRUE(stored.has_value());
  EXPECT_GT(*stored, 390'000u);
  EXPECT_GT(difference_bytes(repo.repository(), tip, first).value_or(0), 390'000u);
  EXPECT_EQ(difference_bytes(repo.repository(), tip, tip).value_or(1), 0u);
  EXPECT_FALSE(difference_bytes(repo.repository(), tip, std::string(40, '0')).has_value());
}

}  // namespace
}  // namespace locki::git::test
