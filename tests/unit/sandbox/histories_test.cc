#include "sandbox/histories.h"

#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::sandbox {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;
const std::string kOne(40, '1'), kTwo(40, '2');

StoredHistory history(const std::string& volume, std::uint64_t bytes, bool ready = true) {
  return {.volume = volume, .git_dir = "/r/.git", .tip = kOne, .boundary = {kTwo}, .max_history = 7, .bytes = bytes, .ready = ready};
}

class HistoriesTest : public testing::Test {
 protected:
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  std::filesystem::path file_ = dir_.path() / "histories.json";
};

TEST_F(HistoriesTest, OutliveTheProcessButForTheHalfMade) {
  {
    Histories histories(file_);
    ASSERT_TRUE(histories.add(history("whole", 0, false)));
    ASSERT_TRUE(histories.add(history("half", 0, false)));
    ASSERT_TRUE(histories.note_ready("whole", 5 * kMiB));
    EXPECT_FALSE(histories.note_ready("unknown", 1));
  }
  Histories histories(file_);
  EXPECT_EQ(histories.all(), std::vector<StoredHistory>{history("whole", 5 * kMiB)});
  ASSERT_TRUE(histories.remove("whole"));
  ASSERT_TRUE(histories.remove("whole"));
  EXPECT_TRUE(Histories(file_).all().empty());
}

TEST_F(HistoriesTest, ADamagedFileCountsAsEmpty) {
  for (const char* text : {"", "{", R"({"version": 2, "histories": []})",
                           R"({"version": 1, "histories": [{"volume": "v", "git_dir": "/r", "tip": "no id", "boundary": "", "max_history": 0, "bytes": 1, "ready": true}]})"}) {
    ASSERT_TRUE(sys::write_file(file_, text));
    EXPECT_TRUE(Histories(file_).all().empty()) << text;
  }
}

TEST(ChooseHistory, NeverOneThatShowsMoreThanTheBranch) {
  EXPECT_EQ(choose({history("a", 100 * kMiB)}, {{.reached = false, .difference = 0}}, 16 * kMiB), std::nullopt);
  EXPECT_EQ(choose({history("a", 100 * kMiB), history("b", 100 * kMiB)}, {{.reached = false, .difference = 0}, {.reached = true, .difference = kMiB}}, 16 * kMiB), 1u);
}

TEST(ChooseHistory, TheNearestThatIsWhole) {
  const std::vector<Candidate> seen{{.reached = true, .difference = 3 * kMiB}, {.reached = true, .difference = kMiB}, {.reached = true, .difference = 2 * kMiB}};
  EXPECT_EQ(choose({history("a", 100 * kMiB), history("b", 100 * kMiB), history("c", 100 * kMiB)}, seen, 16 * kMiB), 1u);
  EXPECT_EQ(choose({history("a", 100 * kMiB), history("b", 100 * kMiB, false), history("c", 100 * kMiB)}, seen, 16 * kMiB), 2u);
  EXPECT_EQ(choose({}, {}, 16 * kMiB), std::nullopt);
}

TEST(ChooseHistory, OneThatHasFallenBehindIsMadeAnew) {
  const auto with = [](std::uint64_t bytes, std::uint64_t difference) { return choose({history("a", bytes)}, {{.reached = true, .difference = difference}}, 16 * kMiB).has_value(); };
  EXPECT_TRUE(with(20 * kMiB, 16 * kMiB));
  EXPECT_FALSE(with(20 * kMiB, 16 * kMiB + 1));
  EXPECT_TRUE(with(400 * kMiB, 100 * kMiB));
  EXPECT_FALSE(with(400 * kMiB, 100 * kMiB + 1));
}

}  // namespace
}  // namespace locki::sandbox
