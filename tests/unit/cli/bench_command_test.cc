// `locki bench` against a scripted daemon; what runs inside runs here, in the worktree.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "sys/file.h"
#include "sys/process.h"
#include "unit/cli/fakes.h"

namespace locki::cli {
namespace {

gate::GateCost some_cost() {
  return {.download = {{200, 400}, {100, 100}, {80, 120}},
          .upload = {{1 << 30}, {1 << 29}, {1 << 29}},
          .round_trip = {{0.00001}, {0.00003}, {0.00002}},
          .connection = {{0.0001}, {0.0003}, {}},
          .idle = 1000,
          .idle_bytes = 4 << 20};
}

// The sandboxes are worktrees of a real repository, named by what the command asks for.
class BenchCommand : public testing::Test {
 protected:
  BenchCommand() {
    repository_ = directory_.path() / "app";
    std::filesystem::create_directories(repository_);
    desk_.context.cwd = repository_;
    desk_.context.paths.state = directory_.path();
    desk_.context.paths.home = directory_.path();
    desk_.context.installation.program = "/bin/true";
    git({"init", "-q", "-b", "main"});
    git({"-c", "user.name=Human", "-c", "user.email=human@example.org", "commit", "-q", "--allow-empty", "-m", "first"});
    services().answer("vm.status", R"({"accelerator":"tcg","cpus":2,"memory_mib":4096})");
    services().answer("sandbox.sync", "{}");
    services().methods["sandbox.new"] = [this](const json::object& asked) -> Result<json::object> {
      const auto name = json::string_or(asked, "name");
      git({"worktree", "add", "-q", "-b", name, worktree(name)});
      return json::object{{"name", name}, {"instance", "lk-" + name}};
    };
    services().methods["sandbox.open"] = [this](const json::object& asked) -> Result<json::object> {
      auto reply = json::parse_object(kOpened);
      const auto name = json::string_or(asked, "name");
      (*reply)["name"] = name;
      (*reply)["worktree"] = name == "fix" ? repository_.native() : worktree(name);
      return reply;
    };
    services().methods["sandbox.remove"] = [this](const json::object& asked) -> Result<json::object> {
      const auto name = json::string_or(asked, "name");
      EXPECT_TRUE(json::bool_or(asked, "force"));
      EXPECT_TRUE(json::bool_or(asked, "delete_branch"));
      removed_.push_back(name);
      git({"worktree", "remove", "--force", worktree(name)});
      git({"branch", "-D", name});
      return json::object{};
    };
    services().program = [this](FakeExecution& self, const std::string&, const incus::ExecRequest& request, incus::ExecIo io) { return run_here(self, request, io); };
  }

  FakeServices& services() { return desk_.services; }
  std::string worktree(const std::string& name) const { return directory_.path() / ("wt-" + name); }
  std::string git(std::vector<std::string> args) {
    const auto said = sys::run_ok({.program = "/usr/bin/git", .args = std::move(args), .environment = environment(), .directory = repository_});
    EXPECT_TRUE(said) << (said ? "" : said.error().describe());
    return said ? std::string(trim(*said)) : "";
  }
  std::map<std::string, std::string> environment() const {
    auto all = sys::clean_environment();
    all["HOME"] = directory_.path();
    return all;
  }
  Result<incus::ExecResult> run_here(FakeExecution& self, const incus::ExecRequest& request, incus::ExecIo io) {
    TRY_ASSIGN(auto child, sys::spawn({.program = request.argv.front(), .args = {request.argv.begin() + 1, request.argv.end()}, .environment = environment(), .directory = request.cwd, .in = io.in, .out = io.out}));
    while (!self.cancelled()) {
      TRY_ASSIGN(const auto ended, child.wait_for(std::chrono::milliseconds(20)));
      if (ended) return incus::ExecResult{.status = ended->ok() ? 0 : 1};
    }
    return fail(ErrorKind::kCancelled, "cancelled");
  }
  // The figures of a run with --json: name -> n.
  std::map<std::string, std::int64_t> figures() {
    std::map<std::string, std::int64_t> found;
    const auto all = json::parse_object(desk_.out);
    EXPECT_TRUE(all) << desk_.out;
    if (!all) return found;
    for (const auto& figure : *json::array_or_null(*all, "figures")) found[json::string_or(figure.get_object(), "name")] = json::int_or(figure.get_object(), "n");
    return found;
  }
  bool asked(const std::string& method) { return services().call_of(method) != nullptr; }

  sys::TemporaryDirectory directory_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  std::filesystem::path repository_;
  std::vector<std::string> removed_;
  Desk desk_;
};

using Counts = std::map<std::string, std::int64_t>;

TEST_F(BenchCommand, KnowsItsParts) {
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "teleport"}), 2);
  EXPECT_NE(desk_.err.find("commits, durability, sandboxes, disk"), std::string::npos) << desk_.err;
  EXPECT_TRUE(services().calls.empty());
}

TEST_F(BenchCommand, TheGateNeedsNoSandbox) {
  services().cost = [](const gate::CostPlan& plan) -> Result<gate::GateCost> {
    EXPECT_TRUE(plan.one_core);
    EXPECT_EQ(plan.bytes, 512u << 20);
    return some_cost();
  };
  ASSERT_EQ(desk_.run({"bench", "--only", "gate"}), 0) << desk_.err;
  EXPECT_FALSE(asked("sandbox.open"));
  EXPECT_FALSE(asked("sandbox.list"));
  EXPECT_NE(desk_.out.find("50 %"), std::string::npos) << desk_.out;
  EXPECT_NE(desk_.out.find("512 MiB/s"), std::string::npos) << desk_.out;
  EXPECT_NE(desk_.out.find("200 µs"), std::string::npos) << desk_.out;
  EXPECT_NE(desk_.err.find("tcg"), std::string::npos) << desk_.err;
  ASSERT_EQ(desk_.run({"bench", "--only", "gate", "--json"}), 0) << desk_.err;
  const Counts found = figures();
  EXPECT_EQ(found.size(), 13u);
  EXPECT_EQ(found.at("gate:download-share"), 2);
  EXPECT_EQ(found.at("gate:idle-memory"), 1);
}

TEST_F(BenchCommand, AFailureHidesNothing) {
  services().cost = [](const gate::CostPlan&) -> Result<gate::GateCost> { return fail(ErrorKind::kNoSpace, "too few descriptors"); };
  ASSERT_TRUE(sys::write_file(directory_.path() / "phases.jsonl", "{\"phase\":\"vm.boot\",\"text\":\"Starting\",\"seconds\":2.5}\n"));
  EXPECT_EQ(desk_.run({"bench", "--only", "gate", "--only", "phases", "--json"}), 1);
  EXPECT_EQ(figures(), (Counts{{"phase:vm.boot", 1}}));
  const auto all = json::parse_object(desk_.out);
  EXPECT_EQ(json::string_or(json::array_or_null(*all, "failed")->at(0).get_object(), "part"), "gate");
  EXPECT_NE(desk_.err.find("too few descriptors"), std::string::npos) << desk_.err;
  EXPECT_EQ(desk_.run({"bench", "--only", "gate", "--only", "phases"}), 1);
  EXPECT_NE(desk_.out.find("phase:vm.boot"), std::string::npos) << desk_.out;
}

TEST_F(BenchCommand, Commands) {
  ASSERT_EQ(desk_.run({"bench", "fix", "--only", "commands", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"version", 10}, {"list", 10}, {"exec", 10}, {"exec:incusd", 10}}));
}

TEST_F(BenchCommand, TypingAndSingleFiles) {
  ASSERT_EQ(desk_.run({"bench", "fix", "--only", "typing", "--only", "mirror", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"echo", 50}, {"inside-to-host", 20}, {"host-to-inside", 20}}));
  EXPECT_EQ(git({"status", "--porcelain"}), "");
}

TEST_F(BenchCommand, CommitsGoBothWaysAndNoneIsTheUsers) {
  const std::string before = git({"for-each-ref"});
  ASSERT_EQ(desk_.run({"bench", "fix", "--only", "commits", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"commit-in", 10}, {"commit-out", 10}}));
  EXPECT_EQ(removed_, (std::vector<std::string>{"bench-" + std::to_string(::getpid()) + "-commits"}));
  EXPECT_EQ(git({"for-each-ref"}), before);
  EXPECT_EQ(services().open_callers, 0);
}

TEST_F(BenchCommand, WhatIsOnBothDisks) {
  ASSERT_EQ(desk_.run({"bench", "fix", "--only", "durability", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"agree", 10}, {"durable-one", 10}, {"durable-1000", 1}, {"durable-64M", 1}, {"durable-20000", 1}}));
  EXPECT_EQ(git({"status", "--porcelain"}), "") << "nothing of it stays";
}

TEST_F(BenchCommand, TheMachineIsKilledOnlyWhenThatIsAskedFor) {
  auto machine = sys::spawn({.program = "/bin/sleep", .args = {"1000"}, .environment = environment()});
  ASSERT_TRUE(machine.has_value());
  services().answer("vm.status", R"({"accelerator":"tcg","pid":)" + std::to_string(machine->pid()) + "}");
  services().answer("sandbox.list", R"({"sandboxes":[{"name":"other","sessions":1}]})");
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "crash"}), 1);
  EXPECT_NE(desk_.err.find("in use: other"), std::string::npos) << desk_.err;
  EXPECT_FALSE(*machine->wait_for(std::chrono::milliseconds(0)));
  services().answer("sandbox.list", R"({"sandboxes":[{"name":"fix","sessions":0}]})");
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "crash", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"crash-to-command", 3}, {"crash-to-agreed", 3}}));
  const auto ended = machine->wait_for(std::chrono::seconds(10));
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ((*ended)->signal, SIGKILL);
}

TEST_F(BenchCommand, CommitsThatFailLeaveNoSandbox) {
  int syncs = 0;
  services().methods["sandbox.sync"] = [&](const json::object&) -> Result<json::object> {
    if (++syncs == 2) return fail(ErrorKind::kTimeout, "no agreement");
    return json::object{};
  };
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "commits", "--json"}), 1);
  EXPECT_EQ(figures(), (Counts{{"commit-out", 10}})) << "what was measured before counts";
  EXPECT_EQ(removed_.size(), 1u);
  removed_.clear();
  services().program = [](FakeExecution&, const std::string&, const incus::ExecRequest&, incus::ExecIo) -> Result<incus::ExecResult> { return incus::ExecResult{.status = 7}; };
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "commits"}), 1);
  EXPECT_NE(desk_.err.find("status 7"), std::string::npos) << desk_.err;
  EXPECT_EQ(removed_.size(), 1u);
}

// A pool whose spare is taken by whoever comes first, and made anew when a sandbox was removed.
class BenchSandboxes : public BenchCommand {
 protected:
  BenchSandboxes() {
    services().methods["vm.status"] = [this](const json::object&) -> Result<json::object> {
      return json::object{{"accelerator", "tcg"}, {"spares", spares_told_}, {"spares_wanted", wanted_}, {"disk_used_bytes", 1000}};
    };
    services().methods["sandbox.new"] = [this](const json::object& asked) -> Result<json::object> {
      const auto name = json::string_or(asked, "name");
      if (++made_ == fails_at_) return fail(ErrorKind::kFailed, "the container did not start");
      if (spares_ == 0) return json::object{{"name", name}, {"instance", "lk-" + name}};
      spares_told_ = --spares_;
      return json::object{{"name", name}, {"instance", "lk-spare-0123456789ab"}};
    };
    services().methods["sandbox.remove"] = [this](const json::object& asked) -> Result<json::object> {
      removed_.push_back(json::string_or(asked, "name"));
      spares_ = wanted_;
      if (tell_) spares_told_ = spares_;
      return json::object{};
    };
    services().program = [](FakeExecution&, const std::string&, const incus::ExecRequest& request, incus::ExecIo io) -> Result<incus::ExecResult> {
      if (request.argv.back().find("memory.stat") != std::string::npos) TRY(sys::write_all(io.out, "4096\n"));
      return incus::ExecResult{};
    };
  }
  std::int64_t wanted_ = 1, spares_ = 1, spares_told_ = 1;
  bool tell_ = true;
  int made_ = 0, fails_at_ = 0;
};

TEST_F(BenchSandboxes, WarmAndColdApart) {
  ASSERT_EQ(desk_.run({"bench", "fix", "--only", "sandboxes", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"sandbox:pool", 3}, {"sandbox:new", 3}, {"sandbox-memory", 6}, {"sandbox-disk", 3}}));
  EXPECT_EQ(removed_.size(), 6u);
  EXPECT_EQ(services().open_callers, 0);
}

TEST_F(BenchSandboxes, WithoutAPoolItIsSaid) {
  wanted_ = spares_ = spares_told_ = 0;
  ASSERT_EQ(desk_.run({"bench", "fix", "--only", "sandboxes", "--json"}), 0) << desk_.err;
  EXPECT_EQ(figures(), (Counts{{"sandbox:new", 3}, {"sandbox-memory", 3}, {"sandbox-disk", 3}}));
  EXPECT_NE(desk_.err.find("pool is 0"), std::string::npos) << desk_.err;
}

TEST_F(BenchSandboxes, WhoWaitedForASpareIsNotCounted) {
  tell_ = false;
  spares_told_ = 0;  // each time it is taken before it was said to be ready
  services().inside = true;
  Bench bench(desk_.context, 10);
  ASSERT_TRUE(measure_sandboxes(bench, {.name = "fix", .instance = "lk-fix", .worktree = repository_}, std::chrono::milliseconds(0)));
  Counts found;
  for (const auto& figure : bench.figures()) found[figure.name] = static_cast<std::int64_t>(figure.samples.size());
  EXPECT_EQ(found, (Counts{{"sandbox:new", 3}, {"sandbox-memory", 6}, {"sandbox-disk", 3}}));
  EXPECT_NE(desk_.err.find("not counted"), std::string::npos) << desk_.err;
  EXPECT_NE(desk_.err.find("none was made in time"), std::string::npos) << desk_.err;
}

TEST_F(BenchSandboxes, AFailureLeavesNone) {
  fails_at_ = 4;  // the second one of the second round
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "sandboxes", "--json"}), 1);
  EXPECT_EQ(removed_.size(), 4u) << "the one that failed half-way, too";
  EXPECT_EQ(figures().at("sandbox:new"), 1);
  EXPECT_EQ(figures().at("sandbox:pool"), 2);
  // One of that name that was there before stays.
  removed_.clear();
  services().refuse("sandbox.new", Error(ErrorKind::kExists, "it exists already"));
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "sandboxes"}), 1);
  EXPECT_TRUE(removed_.empty());
}

TEST_F(BenchCommand, WhatCannotBeRemovedIsTold) {
  services().refuse("sandbox.remove", Error(ErrorKind::kFailed, "busy"));
  services().refuse("sandbox.sync", Error(ErrorKind::kTimeout, "no agreement"));
  EXPECT_EQ(desk_.run({"bench", "fix", "--only", "commits"}), 1);
  EXPECT_NE(desk_.err.find("locki remove --force bench-"), std::string::npos) << desk_.err;
  EXPECT_NE(desk_.err.find("no agreement"), std::string::npos) << desk_.err;
}

TEST_F(BenchCommand, SleepSaysWhatItLeaves) {
  services().answer("vm.suspend", "{}");
  services().answer("vm.status", R"({"state":"suspended","suspended_bytes":4096})");
  services().methods["ping"] = [](const json::object&) -> Result<json::object> { return json::object{{"pid", ::getpid()}}; };
  Bench bench(desk_.context, 10);
  ASSERT_TRUE(measure_sleep(bench, "fix", std::chrono::milliseconds(0)));
  ASSERT_EQ(bench.figures().size(), 4u);
  for (const auto& figure : bench.figures()) EXPECT_EQ(figure.samples.size(), 5u) << figure.name;
  const auto& image = bench.figures()[2];
  const auto& daemon = bench.figures()[3];
  EXPECT_EQ(image.name, "memory-image");
  EXPECT_EQ(image.samples.front(), 4096);
  EXPECT_EQ(daemon.name, "daemon-asleep");
  EXPECT_GT(daemon.samples.front(), 100 * 1024);
  services().refuse("vm.suspend", Error(ErrorKind::kConflict, "2 sandboxes are in use"));
  Bench other(desk_.context, 10);
  EXPECT_TRUE(measure_sleep(other, "fix", std::chrono::milliseconds(0)));
  EXPECT_TRUE(other.figures().empty());
  EXPECT_NE(desk_.err.find("2 sandboxes are in use"), std::string::npos) << desk_.err;
}

}  // namespace
}  // namespace locki::cli
