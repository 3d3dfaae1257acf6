#include "sandbox/config.h"

#include <gtest/gtest.h>

namespace locki::sandbox {
namespace {

constexpr Host kHost{4, 16ULL << 30};

TEST(Config, DefaultsFollowTheHost) {
  const auto config = parse_config("", "c", kHost);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->vm.cpus, 4u);
  EXPECT_EQ(config->vm.memory_bytes, 8ULL << 30);
  EXPECT_EQ(config->net.mode, "gate");
}

TEST(Config, ReadsEverythingItKnows) {
  const auto config = parse_config(R"(
mirror = { include = [".env.test"] }
git = { max_history = 500 }
image = { mirror = "http://mirror.example/debian" }
[vm]
cpus = 2
memory = "6GiB"
accelerator = "tcg"
[sandbox]
memory = "1G"
[sandbox.ceiling]
memory = "2G"
[net]
mode = "open"
allow = ["host.example", ".example.org"]
[net.services]
"model.locki.internal" = "127.0.0.1:8080"
[agents.claude.environment]
ANTHROPIC_BASE_URL = "http://model.locki.internal"
)",
                                   "c", kHost);
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->vm.memory_bytes, 6ULL << 30);
  EXPECT_EQ(config->defaults.memory_bytes, 1ULL << 30);
  EXPECT_EQ(config->ceiling.memory_bytes, 2ULL << 30);
  EXPECT_EQ(config->net.allow.size(), 2u);
  EXPECT_EQ(config->net.services.at("model.locki.internal"), "127.0.0.1:8080");
  EXPECT_EQ(config->agent_environment.at("claude").at("ANTHROPIC_BASE_URL"), "http://model.locki.internal");
  EXPECT_EQ(config->include, std::vector<std::string>{".env.test"});
  EXPECT_EQ(config->max_history, 500u);
}

TEST(Config, EveryMistakeIsToldWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {{"\n[vm]\ncpu = 2\n", "c:3: unknown setting \"vm.cpu\""},
                                                       {"[vm]\nmemory = 4\n", "c:2: \"vm.memory\" must be a size"},
                                                       {"[vm]\ncpus = 0\n", "whole number from 1"},
                                                       {"[net]\nmode = \"free\"\n", "c:2: \"net.mode\" is \"free\""},
                                                       {"[net]\nallow = \"x\"\n", "must be a list"},
                                                       {"x = [", "c:1:"},
                                                       {"vm = 3", "must be a table"}};
  for (const auto& [text, expected] : cases) {
    const auto config = parse_config(text, "c", kHost);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message().find(expected), std::string::npos) << config.error().message();
  }
}

TEST(Config, WishesStayUnderTheCeiling) {
  const auto config = parse_config("[sandbox]\nmemory=\"1G\"\n[sandbox.ceiling]\nmemory=\"2G\"\ncpus=2\n", "c", kHost);
  ASSERT_TRUE(config);
  const auto wishes = parse_wishes("[sandbox]\nmemory=\"8G\"\nprocesses=500\n");
  ASSERT_TRUE(wishes);
  std::vector<std::string> cut;
  const Limits limits = limits_for(*config, *wishes, &cut);
  EXPECT_EQ(limits.memory_bytes, 2ULL << 30);
  EXPECT_EQ(limits.cpus, 2u);  // the default is cut as well, silently
  EXPECT_EQ(limits.processes, 500u);
  EXPECT_EQ(cut, std::vector<std::string>{"memory"});
}

TEST(ParseSize, Units) {
  EXPECT_EQ(parse_size("512M"), 512ULL << 20);
  EXPECT_EQ(parse_size("4GiB"), 4ULL << 30);
  EXPECT_EQ(parse_size("64 GB"), 64ULL << 30);
  EXPECT_EQ(parse_size("1000"), 1000u);
  for (const char* bad : {"", "G", "-1G", "1.5G", "1X", "99999999999999999999", "99999999999T"}) EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Config, Notifications) {
  EXPECT_TRUE(parse_config("", "c", kHost)->net.notify);
  EXPECT_FALSE(parse_config("[net]\nnotify = false\n", "c", kHost)->net.notify);
  EXPECT_FALSE(parse_config("[net]\nnotify = \"no\"\n", "c", kHost));
}

TEST(Config, IdleTime) {
  const Host host{2, 4ULL << 30};
  EXPECT_EQ(parse_config("", "c", host)->vm.idle, std::chrono::minutes(30));
  EXPECT_EQ(parse_config("[vm]\nidle = \"2h\"", "c", host)->vm.idle, std::chrono::hours(2));
  EXPECT_FALSE(parse_config("[vm]\nidle = \"never\"", "c", host)->vm.idle);
  EXPECT_EQ(parse_config("", "c", host)->vm.agents, std::vector<std::string>{"claude"});
  EXPECT_TRUE(parse_config("[vm]\nagents = []", "c", host)->vm.agents.empty());
  for (const char* wrong : {"\"\"", "\"5s\"", "\"30\"", "\"m\"", "\"-1h\"", "\"99999999999999999999d\"", "\"1000d\"", "30", "true"}) {
    EXPECT_FALSE(parse_config(std::string("[vm]\nidle = ") + wrong, "c", host)) << wrong;
  }
}

TEST(Config, ReviewPatterns) {
  const auto config = parse_config("[review]\nhold = [\"/scripts/\"]\nallow = [\".vscode/settings.json\"]\n", "config.toml", Host{4, 16ULL << 30});
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->review_hold, std::vector<std::string>{"/scripts/"});
  EXPECT_EQ(config->review_allow, std::vector<std::string>{".vscode/settings.json"});
  const auto gate = parse_config("[review]\nreport = [\"/deploy/\"]\nignore = [\"program /tests/data/\"]\n", "config.toml", Host{4, 16ULL << 30});
  ASSERT_TRUE(gate);
  EXPECT_EQ(gate->review_report, std::vector<std::string>{"/deploy/"});
  EXPECT_EQ(gate->review_ignore, std::vector<std::string>{"program /tests/data/"});
  for (const char* bad : {"report = [\"a//b\"]", "ignore = [\"program\"]", "ignore = [\"program a b\"]"}) EXPECT_FALSE(parse_config(std::string("[review]\n") + bad + "\n", "config.toml", Host{4, 16ULL << 30})) << bad;
  EXPECT_FALSE(parse_config("[review]\nhold = [\"a/**/b\"]\n", "config.toml", Host{4, 16ULL << 30}));
  EXPECT_FALSE(parse_wishes("[review]\nallow = [\"*\"]\n")) << "a repository lets nothing in";
}

}  // namespace
}  // namespace locki::sandbox
