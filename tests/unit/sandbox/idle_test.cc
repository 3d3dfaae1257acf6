#include "sandbox/idle.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace locki::sandbox {
namespace {

using namespace std::chrono_literals;

class Idle : public testing::Test {
 protected:
  // Half a minute later; `cpu` is what the machine used of it.
  bool later(std::chrono::milliseconds cpu = 300ms, std::chrono::seconds passed = 30s) {
    activity_.now += passed;
    activity_.cpu_time += cpu;
    return watch_.idle(activity_, 2min);
  }
  Activity activity_{.now = std::chrono::steady_clock::time_point(1h)};
  IdleWatch watch_;
};

TEST_F(Idle, AfterItsTimeAndNotBefore) {
  EXPECT_FALSE(later());  // the first look knows nothing
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(later());
  EXPECT_TRUE(later());
}

TEST_F(Idle, EverythingThatSomebodyWouldMissBeginsItAnew) {
  for (int what = 0; what < 4; ++what) {
    for (int i = 0; i < 6; ++i) later();
    ASSERT_TRUE(later());
    activity_.sessions = what == 0;
    activity_.open_connections = what == 1;
    if (what == 2) ++activity_.accepted;
    EXPECT_FALSE(later(what == 3 ? 9s : 300ms)) << what;
    activity_.sessions = activity_.open_connections = 0;
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(later()) << what;
    EXPECT_TRUE(later());
  }
}

TEST_F(Idle, AHostThatSleptCountsFromNow) {
  for (int i = 0; i < 6; ++i) later();
  EXPECT_FALSE(later(300ms, 3600s));
  EXPECT_FALSE(later());
}

TEST_F(Idle, ANewMachineCountsFromNow) {
  for (int i = 0; i < 6; ++i) later();
  activity_.cpu_time = 0ms;
  EXPECT_FALSE(later());
}

TEST(CpuTime, OfAProcess) {
  EXPECT_EQ(cpu_time(0x3ffffff0), 0ms);
  volatile double x = 0;
  while (cpu_time(::getpid()) == 0ms) x = x + 1;
  EXPECT_GT(cpu_time(::getpid()), 0ms);
}

}  // namespace
}  // namespace locki::sandbox
