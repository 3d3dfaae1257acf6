#include "agents/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agents/render.h"
#include "sys/file.h"

namespace locki::agents {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kAgent = R"(
title = "Some Agent"
package = "@some/agent"
program = "some"
bypass_args = ["--yes"]
hosts = [".example.com"]
[environment]
A = "1"
B = "2"
[[files]]
path = "${home}/.some.json"
policy = "merge"
[files.json]
trusted = ["${worktree}"]
[[logins]]
path = ".some/auth.json"
)";

class Table : public testing::Test {
 protected:
  void SetUp() override {
    auto made = sys::TemporaryDirectory::make(testing::TempDir(), "agents");
    ASSERT_TRUE(made);
    directory_.emplace(std::move(*made));
    ASSERT_TRUE(sys::make_directories(installed()));
    ASSERT_TRUE(sys::make_directories(user()));
  }
  std::filesystem::path installed() const { return directory_->path() / "installed"; }
  std::filesystem::path user() const { return directory_->path() / "user"; }
  void installed(std::string_view name, std::string_view text) { ASSERT_TRUE(sys::write_file(installed() / name, text)); }
  void user(std::string_view name, std::string_view text) { ASSERT_TRUE(sys::write_file(user() / name, text)); }
  Result<AgentTable> load() const { return load_table(installed(), user()); }
  std::string error() const {
    auto table = load();
    return table ? "loaded" : table.error().describe() + "|" + table.error().hint();
  }

 private:
  std::optional<sys::TemporaryDirectory> directory_;
};

TEST_F(Table, ReadsAnAgent) {
  installed("some.toml", kAgent);
  installed("note.md", "you are ${user}");
  const auto table = load();
  ASSERT_TRUE(table) << table.error().describe();
  EXPECT_EQ(table->note(), "you are ${user}");
  const Agent* some = table->find("some");
  ASSERT_NE(some, nullptr);
  EXPECT_EQ(some->package, "@some/agent");
  EXPECT_EQ(some->version, "");
  EXPECT_FALSE(some->install_scripts);
  EXPECT_THAT(some->version_args, ElementsAre("--version"));
  EXPECT_THAT(some->logins.at(0).path, ".some/auth.json");
}

TEST_F(Table, AUsersFileGoesOverMemberByMember) {
  installed("some.toml", kAgent);
  user("some.toml", R"(
bypass_args = ["--really"]
[environment]
B = "3"
C = "4"
[[files]]
path = "${home}/.some.json"
text = "mine"
[[files]]
path = "${home}/.other"
text = "more"
)");
  const auto table = load();
  ASSERT_TRUE(table) << table.error().describe();
  const Agent& some = *table->find("some");
  EXPECT_EQ(some.title, "Some Agent");
  EXPECT_THAT(some.bypass_args, ElementsAre("--really"));
  EXPECT_EQ(some.environment, (std::map<std::string, std::string>{{"A", "1"}, {"B", "3"}, {"C", "4"}}));
  ASSERT_EQ(some.files.size(), 2u);
  EXPECT_EQ(some.files[0].text, "mine");
  EXPECT_EQ(some.files[0].policy, FilePolicy::kReplace);
}

TEST_F(Table, AUserAddsAndDisablesAgents) {
  installed("some.toml", kAgent);
  user("some.toml", "disabled = true");
  user("own.toml", kAgent);
  user("note.md", "my note");
  const auto table = load();
  ASSERT_TRUE(table) << table.error().describe();
  ASSERT_EQ(table->all().size(), 1u);
  EXPECT_EQ(table->all()[0].name, "own");
  EXPECT_EQ(table->note(), "my note");
  const auto missing = table->get("some");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(missing.error().hint(), "known agents: own");
}

TEST_F(Table, SaysWhereAndWhatIsWrong) {
  struct Case {
    std::string text, says;
  };
  const std::string agent(kAgent);
  const Case cases[] = {
      {"title = ", "some.toml:1: "},
      {"\ntitle = 3", "some.toml:2: title must be a string"},
      {"\nbypas_args = []", "some.toml:2: an agent has no member \"bypas_args\""},
      {"bypass_args = \"--x\"", "bypass_args must be a list of strings"},
      {"name = \"other\"", "named like \"some\""},
      {"title = \"x\"\npackage = \"p\"", "program"},
      {agent + "[[files]]\npath = \"${home}/a\"", "exactly one of text, json and toml"},
      {agent + "[[files]]\npath = \"${home}/a\"\ntext = \"${hom}\"", "unknown placeholder ${hom}"},
      {agent + "[[files]]\npath = \"${home}/a\"\ntext = \"${home\"", "is not closed"},
      {agent + "[[files]]\npath = \"${home}/a\"\n[files.json.\"${nope}\"]", "unknown placeholder ${nope}"},
      {agent + "[[files]]\npath = \"${home}/a\"\nmode = \"4755\"\ntext = \"\"", "mode must be"},
      {agent + "[[files]]\npath = \"${home}/a\"\npolicy = \"merge\"\ntext = \"\"", "only JSON can be merged"},
      {agent + "[[files]]\npath = \"${home}/a\"\n[files.json]\nwhen = 2024-01-01", "dates"},
  };
  for (const auto& [text, says] : cases) {
    installed("some.toml", text);
    EXPECT_THAT(error(), HasSubstr(says)) << text;
  }
}

TEST_F(Table, RefusesWhatCouldLeadElsewhere) {
  const std::string agent(kAgent);
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::string text = agent;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, from.size(), to);
  };
  const std::string cases[] = {
      replaced("\"@some/agent\"", "\"https://example.com/x.tgz\""), replaced("\"@some/agent\"", "\"--prefix=/\""),
      replaced("\"@some/agent\"", "\"@some/../agent\""),            replaced("\"@some/agent\"", "\"../x\""),
      replaced("program = \"some\"", "program = \"../../bin/sh\""), replaced("program = \"some\"", "program = \"some\"\nversion = \"npm:x@1\""),
      replaced("program = \"some\"", "program = \"some\"\nversion = \"-g\""),
      replaced(".some/auth.json", "../auth.json"),                  replaced(".some/auth.json", "/etc/shadow"),
      replaced(".some/auth.json", ".some//auth.json"),              replaced(".some/auth.json", ""),
      replaced("${home}/.some.json", "${worktree}/.git/config"),    replaced("${home}/.some.json", "${home}/../x"),
      replaced("${home}/.some.json", "/usr/bin/sh"),                replaced("${home}/.some.json", "/etc/"),
      replaced(".example.com", "example.com:22"),                   replaced(".example.com", "*"),
      replaced(".example.com", ".com"),                             replaced("A = \"1\"", "\"A=B\" = \"1\""),
  };
  for (const auto& text : cases) {
    installed("some.toml", text);
    EXPECT_THAT(error(), HasSubstr("some.toml")) << text;
  }
  installed("some.toml", agent);
  EXPECT_EQ(error(), "loaded");
}

TEST_F(Table, AMissingInstalledDirectoryIsAnErrorTheUsersIsNot) {
  ASSERT_TRUE(sys::remove_tree(user()));
  EXPECT_EQ(error(), "loaded");
  ASSERT_TRUE(sys::remove_tree(installed()));
  EXPECT_THAT(error(), HasSubstr("there is no directory"));
}

}  // namespace
}  // namespace locki::agents
