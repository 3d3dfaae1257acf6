#include "agents/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agents/login.h"
#include "agents/placeholders.h"

namespace locki::agents {
namespace {

using testing::HasSubstr;
using testing::Not;

const SandboxContext kContext{"s", "b", "/w/t", "/root", "root"};

Agent agent_with(FileTemplate file) {
  Agent agent;
  agent.name = "some";
  agent.program = "some";
  agent.package = "some";
  agent.files.push_back(std::move(file));
  return agent;
}

json::object object(std::string_view text) { return json::parse_object(text).value(); }

TEST(Files, APathInAKeyIsEscapedByTheFormat) {
  SandboxContext context = kContext;
  context.worktree = "/w/a \"b\" \\c.d";
  FileTemplate file{"${home}/f", 0600, FilePolicy::kMerge, FileTemplate::Format::kJson, "", object(R"({"projects":{"${worktree}":{"on":true}}})")};
  auto files = files_for(agent_with(file), "", context);
  ASSERT_TRUE(files);
  const auto parsed = json::parse_object(files->at(0).content);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->at("projects").get_object().contains(context.worktree));
  EXPECT_EQ(files->at(0).path, "/root/f");
  EXPECT_TRUE(files->at(0).in_home);

  file.format = FileTemplate::Format::kToml;
  files = files_for(agent_with(file), "", context);
  EXPECT_EQ(files->at(0).content, "[projects]\n\n[projects.\"/w/a \\\"b\\\" \\\\c.d\"]\non = true\n");
}

TEST(Files, TheNoteIsFilledInOnceAndValuesAreNotSearchedAgain) {
  SandboxContext context = kContext;
  context.sandbox = "${home}";
  const auto files = files_for(agent_with({"/etc/note", 0644, FilePolicy::kReplace, FileTemplate::Format::kText, "<${note}>", {}}), "in ${sandbox}", context);
  ASSERT_TRUE(files);
  EXPECT_EQ(files->at(0).content, "<in ${home}>");
}

TEST(Files, AContextThatCannotBeIsRefused) {
  for (auto member : {&SandboxContext::sandbox, &SandboxContext::branch, &SandboxContext::worktree, &SandboxContext::home, &SandboxContext::user}) {
    for (const std::string bad : {"", "/a\nb", "/\xff", "/\x7f"}) {
      SandboxContext context = kContext;
      context.*member = bad;
      EXPECT_FALSE(files_for(Agent{}, "", context)) << bad;
    }
  }
  SandboxContext context = kContext;
  context.worktree = "relative";
  EXPECT_FALSE(files_for(Agent{}, "", context));
}

TEST(Toml, WritesScalarsBeforeTables) {
  EXPECT_EQ(toml_text(object(R"({"t":{"x":1,"u":{"y":[1,"a"]}},"s":"q\"","n":null,"list":[{"k v":false}]})")),
            "s = \"q\\\"\"\nlist = [{\"k v\" = false}]\n\n[t]\nx = 1\n\n[t.u]\ny = [1, \"a\"]\n");
}

TEST(Merged, OursWinsAndTheRestStays) {
  const auto result = object(merged(R"({"a":{"b":1,"c":{"d":2}},"l":[1]})", R"({"z":9,"a":{"b":0,"x":7,"c":"text"},"l":[2,3]})"));
  EXPECT_EQ(result, object(R"({"z":9,"a":{"b":1,"x":7,"c":{"d":2}},"l":[1]})"));
}

TEST(Merged, HostileContentGivesOursAlone) {
  const std::string wanted = R"({"a":1})";
  for (const std::string& bad : {std::string(), std::string("[]"), std::string("{\"a\":"), std::string("\x00\x01", 2), std::string(100, '{'),
                                 "{\"x\":" + std::string(100000, '[') + std::string(100000, ']') + "}", std::string(9 << 20, ' ') + "{}"}) {
    EXPECT_EQ(merged(wanted, bad), wanted) << bad.substr(0, 20);
  }
}

TEST(Command, BypassComesBeforeTheUsersWordsWhichStayWhole) {
  Agent agent = agent_with({});
  agent.bypass_args = {"--yes"};
  agent.environment = {{"K", "v"}};
  const auto result = command(agent, kContext, {"-p", "a b; `c` $D"});
  EXPECT_EQ(result.argv, (std::vector<std::string>{"/opt/locki/agents/some/node_modules/.bin/some", "--yes", "-p", "a b; `c` $D"}));
  EXPECT_EQ(result.directory, "/w/t");
  EXPECT_EQ(result.environment, agent.environment);
}

TEST(InstallPlan, LeavesTheLinkAloneUntilTheNewOneHasShownItsVersion) {
  const auto plan = install_plan(agent_with({}), "g7");
  EXPECT_EQ(plan.version.argv[0], "/opt/locki/agents/generations/some/g7/node_modules/.bin/some");
  for (const auto& step : plan.install) EXPECT_NE(step.argv.back(), "/opt/locki/agents/some");
  EXPECT_TRUE(std::any_of(plan.activate.begin(), plan.activate.end(), [](const Command& step) { return step.argv.back() == "/opt/locki/agents/some"; }));
}

TEST(InstallPlan, NamesWhatNpmIsNotToFetch) {
  Agent agent = agent_with({});
  agent.skip = {"@some/linux-x64-musl"};
  const auto plan = install_plan(agent, "g7");
  const auto written = std::find_if(plan.install.begin(), plan.install.end(), [](const Command& step) { return !step.input.empty(); });
  ASSERT_NE(written, plan.install.end());
  EXPECT_EQ(written->input, R"({"private":true,"overrides":{"@some/linux-x64-musl":"0.0.0-none"}})");
}

class Login : public testing::Test {
 protected:
  LoginFile file_{".x/auth.json", LoginFile::Shape::kJsonObject, 100, {"token", "key"}};
};

TEST_F(Login, TakesWhatFits) {
  EXPECT_TRUE(check_login(file_, R"({"key":"v"})"));
  EXPECT_TRUE(check_login(file_, "{\n\t\"token\": null}\r\n"));
  file_.shape = LoginFile::Shape::kText;
  EXPECT_TRUE(check_login(file_, "ghp_x\n"));
}

TEST_F(Login, RefusesEverythingElseAndNeverShowsIt) {
  const std::string cases[] = {"", "{}", "[1]", "null", R"({"key":"secret")", "{\"key\":\"\x1b]secret\"}", "{\"key\":\"\x7f\"}", std::string("{\"key\":\"\0\"}", 11),
                               "{\"key\":\"\xff\"}", R"({"key":"secret)" + std::string(200, 'x') + "\"}", "#!/bin/sh\necho secret\n"};
  for (const auto& content : cases) {
    const auto checked = check_login(file_, content);
    ASSERT_FALSE(checked) << content;
    EXPECT_EQ(checked.error().kind(), ErrorKind::kProtocol);
    EXPECT_THAT(checked.error().describe(), Not(HasSubstr("secret")));
  }
}

TEST_F(Login, IsFoundByItsExactPath) {
  Agent agent;
  agent.logins = {file_};
  EXPECT_NE(find_login(agent, ".x/auth.json"), nullptr);
  EXPECT_EQ(find_login(agent, ".x/./auth.json"), nullptr);
}

}  // namespace
}  // namespace locki::agents
