#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/bench_figures.h"
#include "cli/process_counters.h"

namespace locki::cli {
namespace {

TEST(BenchFigures, StatisticsAreOfTheSamples) {
  std::vector<double> samples;
  for (int i = 100; i >= 1; --i) samples.push_back(i);
  const auto s = statistics_of(samples);
  EXPECT_EQ(s.median, 51);
  EXPECT_EQ(s.p95, 95);
  EXPECT_EQ(s.least, 1);
  EXPECT_EQ(s.most, 100);
  EXPECT_EQ(statistics_of({7}).p95, 7);
}

TEST(BenchFigures, UnitsAreShown) {
  EXPECT_EQ(shown(0.0017, Unit::kSeconds), "1.7 ms");
  EXPECT_EQ(shown(0.25, Unit::kSeconds), "250 ms");
  EXPECT_EQ(shown(12.34, Unit::kSeconds), "12.3 s");
  EXPECT_EQ(shown(6, Unit::kPerMinute), "6/min");
  EXPECT_EQ(shown(-1024 * 1024, Unit::kBytes), "-" + shown(1024 * 1024, Unit::kBytes));
  const auto json = figures_json({{"x", "y", {1, 2, 3}, Unit::kBytes}});
  EXPECT_EQ(json.at(0).at("unit"), "bytes");
  EXPECT_EQ(json.at(0).at("median").as_double(), 2);
}

TEST(ProcessCounters, AreThoseOfTheKernel) {
  EXPECT_EQ(value_of_line("Name:\tx\nPss:      12 kB\nPss_Dirty: 9 kB\n", "Pss"), 12u);
  EXPECT_EQ(value_of_line("Pss_Dirty: 9 kB\n", "Pss"), 0u);
  const auto before = wakeups_of(::getpid());
  for (int i = 0; i < 20; ++i) ::usleep(1000);
  EXPECT_GE(wakeups_of(::getpid()), before + 20);
  EXPECT_GT(memory_of(::getpid()), 100u * 1024);
  EXPECT_EQ(memory_of(0), 0u);
}

}  // namespace
}  // namespace locki::cli
