// What every built-in agent becomes: commands and files, whole, beside tests/golden/agents. LOCKI_ACCEPT=1 writes them anew.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "agents/render.h"
#include "agents/table.h"
#include "sys/file.h"

namespace locki::agents {
namespace {

namespace fs = std::filesystem;

const fs::path kShare = fs::path(LOCKI_SOURCE_DIR) / "share/agents";
const fs::path kGolden = fs::path(LOCKI_SOURCE_DIR) / "tests/golden/agents";

std::string shown(const Command& command) {
  std::string out = "in " + command.directory + ":";
  for (const auto& word : command.argv) out += " " + json::serialize(json::value(boost::json::string_view(word)));
  if (!command.input.empty()) out += "\n  input: " + command.input;
  return out + "\n";
}

std::string everything(const Agent& agent, const std::string& note) {
  const SandboxContext context{"fix-tests", "fix-tests", "/home/ann/.local/share/locki/worktrees/it's \"x\"/fix-tests", "/root", "root"};
  std::string out = "# install\n";
  const auto plan = install_plan(agent, "g1");
  for (const auto& step : plan.install) out += shown(step);
  out += shown(plan.version);
  for (const auto& step : plan.activate) out += shown(step);
  out += "\n# run\n" + shown(version_command(agent)) + shown(command(agent, context, {"-p", "do it; $HOME"}));
  out += "\n# environment\n";
  for (const auto& [name, value] : command(agent, context, {}).environment) out += name + "=" + value + "\n";
  const auto files = files_for(agent, note, context);
  EXPECT_TRUE(files) << (files ? "" : files.error().describe());
  for (const auto& file : *files) {
    const std::string_view policies[] = {"replace", "merge", "once"};
    out += fmt::format("\n# {} {:04o} {}{}\n{}\n", file.path, file.mode, policies[static_cast<int>(file.policy)], file.in_home ? " home" : "", file.content);
  }
  return out;
}

TEST(Golden, EveryBuiltInAgent) {
  const auto table = load_table(kShare, "/nonexistent");
  ASSERT_TRUE(table) << table.error().describe();
  ASSERT_EQ(table->all().size(), 6u);
  EXPECT_NE(table->note().find("${worktree}"), std::string::npos);
  for (const auto& agent : table->all()) {
    SCOPED_TRACE(agent.name);
    const auto path = kGolden / (agent.name + ".txt");
    const std::string now = everything(agent, "NOTE for ${sandbox}\n");
    if (std::getenv("LOCKI_ACCEPT") != nullptr) {
      ASSERT_TRUE(sys::make_directories(kGolden));
      ASSERT_TRUE(sys::write_file(path, now));
    }
    const auto expected = sys::read_file(path);
    ASSERT_TRUE(expected) << "no golden file: run with LOCKI_ACCEPT=1 and read the difference";
    EXPECT_EQ(now, *expected);
  }
}

TEST(BuiltIn, EveryAgentHasANoteItsHostsAndNoPromptLeft) {
  const auto table = load_table(kShare, "/nonexistent");
  ASSERT_TRUE(table) << table.error().describe();
  for (const auto& agent : table->all()) {
    SCOPED_TRACE(agent.name);
    EXPECT_FALSE(agent.hosts.empty());
    EXPECT_TRUE(std::any_of(agent.files.begin(), agent.files.end(), [](const FileTemplate& file) { return file.text.find("${note}") != std::string::npos; }));
  }
}

}  // namespace
}  // namespace locki::agents
