#include "mirror/branch_trouble.h"

#include <gtest/gtest.h>

namespace locki::mirror {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Trouble : public ::testing::Test {
 protected:
  std::string told() {
    std::string out;
    for (const Event& event : events_) out += event.kind + " " + event.text + ";";
    events_.clear();
    return out;
  }
  std::vector<Event> events_;
  BranchTrouble trouble_{[this](Event event) { events_.push_back(std::move(event)); }};
  BranchTrouble::Clock::time_point now_ = BranchTrouble::Clock::now();
};

TEST_F(Trouble, WhoWaitsIsToldOnceItLasts) {
  const auto begin = now_;
  for (; now_ < begin + seconds(4); now_ += milliseconds(500)) {
    trouble_.attempt(now_);
    trouble_.waits("c", "a lock", now_);
    EXPECT_FALSE(trouble_.may_try(now_ + milliseconds(400)));
    EXPECT_TRUE(trouble_.may_try(now_ + milliseconds(500)));
  }
  EXPECT_EQ(told(), "");
  for (; now_ < begin + seconds(10); now_ += milliseconds(500)) trouble_.attempt(now_), trouble_.waits("c", "a lock", now_);
  EXPECT_EQ(told(), "problem the branch waits: a lock;");
  EXPECT_FALSE(trouble_.lasts(begin, begin + seconds(9)));
  EXPECT_TRUE(trouble_.lasts(begin, begin + seconds(10)));
  EXPECT_FALSE(trouble_.lasts(now_, now_ + seconds(10))) << "it was not tried since";
  trouble_.attempt(now_);
  EXPECT_FALSE(trouble_.lasts(now_, now_ + seconds(10))) << "what comes of it is not known yet";
  trouble_.waits("c", "a lock", now_);
  EXPECT_TRUE(trouble_.lasts(now_, now_ + seconds(1)));
  trouble_.over();
  EXPECT_EQ(told(), "unstuck ;");
  EXPECT_TRUE(trouble_.may_try(now_));
}

TEST_F(Trouble, AFailureIsToldAtOnceAndTriedWithGrowingPauses) {
  const auto begin = now_;
  std::string pauses;
  for (int i = 0; i < 7; ++i) {
    trouble_.attempt(now_);
    trouble_.fails("c", "git\x1b says no", now_);
    auto pause = seconds(0);
    while (!trouble_.may_try(now_ + pause)) pause += seconds(1);
    pauses += std::to_string(pause.count()) + " ";
    EXPECT_EQ(trouble_.lasts(begin, now_), i > 0);
    now_ += pause;
  }
  EXPECT_EQ(pauses, "3 6 12 24 48 60 60 ");
  EXPECT_EQ(told(), "stuck git\\x1b says no;");
  trouble_.fails("c", "something else", now_);
  EXPECT_EQ(told(), "stuck something else;");
  trouble_.hurry();
  EXPECT_TRUE(trouble_.may_try(now_ + milliseconds(500)));
  trouble_.over();
  trouble_.over();
  EXPECT_EQ(told(), "unstuck ;");
}

}  // namespace
}  // namespace locki::mirror
