#include <gtest/gtest.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/bench/disk.h"
#include "cli/bench/facts.h"
#include "cli/bench/figures.h"
#include "cli/process_counters.h"
#include "sys/file.h"
#include "sys/process.h"

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
  EXPECT_EQ(shown(0.000082, Unit::kSeconds), "82 µs");
  EXPECT_EQ(shown(-0.0021, Unit::kSeconds), "-2.1 ms");
  EXPECT_EQ(shown(6, Unit::kPerMinute), "6/min");
  EXPECT_EQ(shown(0.468, Unit::kRatio), "47 %");
  EXPECT_EQ(shown(-1024 * 1024, Unit::kBytes), "-" + shown(1024 * 1024, Unit::kBytes));
  const auto json = figures_json({{"x", "y", {1, 2, 3}, Unit::kBytes}});
  EXPECT_EQ(json.at(0).at("unit"), "bytes");
  EXPECT_EQ(json.at(0).at("median").as_double(), 2);
  EXPECT_EQ(figures_json({{"x", "y", {0.5}, Unit::kRatio}}).at(0).at("unit"), "ratio");
}

TEST(BenchFacts, AreTheHostsAndTheMachines) {
  HostFacts host = host_facts("processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel name\t: Other\n", "MemFree: 1 kB\nMemTotal:       8388608 kB\n");
  EXPECT_EQ(host.processor, "Some CPU @ 2.0GHz");
  EXPECT_EQ(host.memory_bytes, 8ULL << 30);
  host.processors = 2;
  host.kernel = "Linux 6.1";
  const json::object machine{{"accelerator", "tcg"}, {"cpus", 2}, {"memory_mib", 4096}};
  EXPECT_EQ(facts_line(host, machine), "2 processors, Linux 6.1, Some CPU @ 2.0GHz, 8.0 GiB of memory; the virtual machine: tcg, 2 processors, 4.0 GiB of memory");
  const auto facts = facts_json(host, machine);
  EXPECT_EQ(json::string_or(facts, "processor"), "Some CPU @ 2.0GHz");
  EXPECT_EQ(json::string_or(facts, "accelerator"), "tcg");
  EXPECT_EQ(json::int_or(facts, "vm_processors"), 2);
  EXPECT_EQ(facts.at("vm_memory_bytes").to_number<std::uint64_t>(), 4ULL << 30);
  EXPECT_EQ(facts.at("memory_bytes").to_number<std::uint64_t>(), 8ULL << 30);
  // Other processors' kernels name no model, and nobody may have been asked about the machine.
  EXPECT_EQ(facts_line(host_facts("CPU implementer : 0x41\n", ""), {}), "0 processors, ");
  EXPECT_FALSE(facts_json(host, {}).contains("vm_processors"));
}

class DiskScript : public testing::Test {
 protected:
  Result<std::string> run(const DiskJob& job, const std::string& parent = "") {
    auto environment = sys::clean_environment();
    environment["HOME"] = home_.path();
    return sys::run_ok({.program = "/bin/sh", .args = {"-c", disk_script(job, parent)}, .environment = environment});
  }
  std::string said(const char* file) { return std::string(trim(sys::read_file(home_.path() / file).value_or("absent"))); }
  sys::TemporaryDirectory home_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
};

TEST_F(DiskScript, SaysALineARoundAndLeavesNothing) {
  const DiskJob job{"x", "x", "pwd >$HOME/where", "mkdir $r", "echo $r >>$HOME/rounds"};
  const auto out = run(job);
  ASSERT_TRUE(out) << out.error().describe();
  const auto samples = disk_samples(job, *out);
  ASSERT_TRUE(samples) << samples.error().describe();
  EXPECT_EQ(samples->size(), 3u);
  EXPECT_EQ(said("rounds"), "1\n2\n3");
  EXPECT_TRUE(said("where").starts_with("/var/tmp/locki-bench.")) << said("where");
  EXPECT_FALSE(std::filesystem::exists(said("where")));
  ASSERT_TRUE(run(job, home_.path()));
  EXPECT_TRUE(said("where").starts_with(home_.path().native() + "/locki-bench.")) << said("where");
  EXPECT_TRUE(std::filesystem::exists(said("where") + "/3")) << "whoever gave the directory removes it";
}

TEST_F(DiskScript, AFailureIsOneAndLeavesNothing) {
  EXPECT_FALSE(run({"x", "x", "pwd >$HOME/where", "true", "false"}));
  EXPECT_TRUE(said("where").starts_with("/var/tmp/locki-bench.")) << said("where");
  EXPECT_FALSE(std::filesystem::exists(said("where")));
  const DiskJob job{.name = "x", .rounds = 2};
  EXPECT_FALSE(disk_samples(job, "1\n"));
  EXPECT_FALSE(disk_samples(job, "1\nno\n"));
  EXPECT_DOUBLE_EQ(disk_samples(job, "1\n1500000000\n")->at(1), 1.5);
}

TEST_F(DiskScript, ACheckoutWritesEveryFile) {
  DiskJob job = checkout_job(3, 4);
  EXPECT_EQ(job.meaning, "git checkout of 12 files");
  EXPECT_EQ(checkout_job(500, 100).meaning, "git checkout of 50,000 files");
  job.work += "; find . -path ./.git -prune -o -type f -print | wc -l >>$HOME/count; wc -c <2/3 >$HOME/size; git status --porcelain >$HOME/status";
  job.rounds = 2;  // each begins with an empty work tree
  const auto out = run(job);
  ASSERT_TRUE(out) << out.error().describe();
  EXPECT_EQ(said("count"), "12\n12");
  EXPECT_EQ(said("size"), "964");
  EXPECT_EQ(said("status"), "");
  EXPECT_EQ(checkout_job(3, 4).rounds, 1);
}

TEST(ProcessCounters, AreThoseOfTheKernel) {
  EXPECT_EQ(value_of_line("Name:\tx\nPss:      12 kB\nPss_Dirty: 9 kB\n", "Pss"), 12u);
  EXPECT_EQ(value_of_line("Pss_Dirty: 9 kB\n", "Pss"), 0u);
  EXPECT_EQ(value_of_line("Pss:                              123456 kB\n", "Pss"), 123456u) << "longer than what a string keeps in itself";
  const auto before = wakeups_of(::getpid());
  for (int i = 0; i < 20; ++i) ::usleep(1000);
  EXPECT_GE(wakeups_of(::getpid()), before + 20);
  EXPECT_GT(memory_of(::getpid()), 100u * 1024);
  EXPECT_EQ(memory_of(0), 0u);
}

}  // namespace
}  // namespace locki::cli
