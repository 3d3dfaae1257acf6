#include "sandbox/screens.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace locki::sandbox {
namespace {

using namespace std::chrono_literals;

TEST(Screens, AreReadStrictly) {
  const auto screens = parse_screens("claude running\ncodex waiting\n\x1b]0;x\n../x running\nx sleeping\nrunning\na b c\n");
  EXPECT_EQ(screens, (Screens{{"claude", {ScreenState::kRunning}}, {"codex", {ScreenState::kWaiting}}}));
  EXPECT_EQ(parse_screens("claude finished 7\ncodex finished\ngemini finished 256\npi finished -1\nx running 3\n"),
            (Screens{{"claude", {ScreenState::kFinished, 7}}}));
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "a" + std::to_string(i) + " running\n";
  EXPECT_LE(parse_screens(many).size(), 16u);
}

TEST(ScreenWatch, WaitsOnceAndThenGivesWhatItKnows) {
  static ScreenWatch watch;  // its threads may outlive the test
  static std::atomic<int> asked = 0;
  const auto ask = [] {
    ++asked;
    return Result<std::string>("claude running\n");
  };
  EXPECT_EQ(watch.look("a", ask).size(), 1u);
  EXPECT_EQ(watch.look("a", ask).size(), 1u);
  EXPECT_EQ(asked, 1);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(watch.look("slow", [] { std::this_thread::sleep_for(5s); return Result<std::string>(""); }).empty());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 4s);
}

}  // namespace
}  // namespace locki::sandbox
