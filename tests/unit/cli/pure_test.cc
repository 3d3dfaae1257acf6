// What needs no daemon at all: parsing, names, environment, text, errors, completion.
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/environment.h"
#include "cli/failure.h"
#include "cli/names.h"
#include "cli/parse.h"
#include "cli/text.h"

namespace locki::cli {
namespace {

using Words = std::vector<std::string>;
const std::vector<Command> kCommands = all_commands({"claude", "codex", "list"});

Invocation parsed(const Words& words) {
  Invocation invocation;
  const auto result = parse(kCommands, words, invocation);
  EXPECT_TRUE(result) << result.error().message();
  return invocation;
}
Error refused(const Words& words) {
  Invocation invocation;
  const auto result = parse(kCommands, words, invocation);
  EXPECT_FALSE(result);
  return result ? Error(ErrorKind::kFailed, "") : result.error();
}

TEST(Parse, EverythingBehindTheNameGoesToTheAgent) {
  EXPECT_EQ(parsed({"claude", "fix", "--", "--version"}).arguments.rest, (Words{"--version"}));
  EXPECT_EQ(parsed({"claude", "fix", "-p", "hi", "--json", "-q", "--help"}).arguments.rest, (Words{"-p", "hi", "--json", "-q", "--help"}));
  EXPECT_EQ(parsed({"claude", "fix", "--", "--", "x"}).arguments.rest, (Words{"--", "x"}));
  EXPECT_FALSE(parsed({"claude", "fix", "--help"}).help);
  EXPECT_EQ(parsed({"claude", "fix", "-p", "hi"}).arguments.value("NAME"), "fix");
}

TEST(Parse, WithoutANameTheRestStandsBehindTwoDashes) {
  const auto invocation = parsed({"x", "--", "ls", "-l"});
  EXPECT_EQ(invocation.arguments.value("NAME"), "");
  EXPECT_EQ(invocation.arguments.rest, (Words{"ls", "-l"}));
  EXPECT_TRUE(parsed({"claude"}).arguments.rest.empty());
}

TEST(Parse, OurOptionsStandBeforeTheName) {
  const auto invocation = parsed({"-q", "claude", "--from", "main", "fix", "--from", "x"});
  EXPECT_TRUE(invocation.globals.quiet);
  EXPECT_EQ(invocation.arguments.value("from"), "main");
  EXPECT_EQ(invocation.arguments.value("NAME"), "fix");
  EXPECT_EQ(invocation.arguments.rest, (Words{"--from", "x"}));
  EXPECT_TRUE(parsed({"claude", "--help"}).help);
  EXPECT_EQ(refused({"claude", "--frm", "main", "fix"}).kind(), ErrorKind::kUsage);
}

TEST(Parse, SubcommandsAliasesAndOptions) {
  EXPECT_EQ(parsed({"vm", "status", "--json"}).words(), "vm status");
  EXPECT_TRUE(parsed({"vm", "status", "--json"}).globals.json);
  EXPECT_EQ(parsed({"rm", "a", "--force", "--delete-branch"}).words(), "remove");
  EXPECT_TRUE(parsed({"rm", "a", "-f"}).arguments.flag("force"));
  EXPECT_EQ(parsed({"net", "log", "-n5"}).arguments.value("limit"), "5");
  EXPECT_EQ(parsed({"net", "log", "--limit=5"}).arguments.value("limit"), "5");
  EXPECT_EQ(parsed({"list"}).words(), "list");  // an agent of that name does not hide it
  EXPECT_FALSE(parsed({"list"}).command()->session);
}

TEST(Parse, WrongWordsAreToldWithWhatWasMeant) {
  EXPECT_EQ(refused({"lsit"}).hint(), "locki list");
  EXPECT_EQ(refused({"vm", "sttus"}).hint(), "locki vm status");
  EXPECT_EQ(refused({"frobnicate"}).hint(), "locki --help");
  EXPECT_EQ(refused({"--frob"}).kind(), ErrorKind::kUsage);
  EXPECT_EQ(refused({"new"}).kind(), ErrorKind::kUsage);
  EXPECT_EQ(refused({"new", "a", "b"}).kind(), ErrorKind::kUsage);
  EXPECT_EQ(refused({"net", "log", "--limit"}).kind(), ErrorKind::kUsage);
  EXPECT_EQ(refused({"start", "--json"}).kind(), ErrorKind::kUsage);
  EXPECT_EQ(refused({"\x1b[31m"}).message().find('\x1b'), std::string::npos);
}

TEST(Names, BranchNamesThatArePlainEverywhere) {
  for (const char* good : {"a", "fix-login", "me/fix.2", "A_b", "1"}) EXPECT_TRUE(check_name(good)) << good;
  for (const char* bad : {"", "-x", "a/-x", ".a", "a/.b", "a..b", "a//b", "a/", "/a", "a.lock", "a.lock/b", "a.", "a b", "a:b", "a~", "ž", "HEAD", "a\nb", "@{x"}) {
    EXPECT_FALSE(check_name(bad)) << bad;
  }
  EXPECT_TRUE(check_name(std::string(100, 'a')));
  EXPECT_FALSE(check_name(std::string(101, 'a')));
}

TEST(Environment, OnlyTheAllowListCrossesWithPlainValues) {
  const std::map<std::string, std::string> host{
      {"TERM", "xterm-256color"}, {"COLORTERM", "truecolor"}, {"LANG", "cs_CZ.UTF-8"}, {"LC_TIME", "C"}, {"TZ", "Europe/Prague"}, {"NO_COLOR", "yes"},
      {"HOME", "/home/me"}, {"PATH", "/bin"}, {"AWS_SECRET_ACCESS_KEY", "x"}, {"LD_PRELOAD", "x"}, {"LC_EVIL\n", "x"}, {"LC_ALL", "../../x"}};
  EXPECT_EQ(crossing_environment(host),
            (std::map<std::string, std::string>{{"TERM", "xterm-256color"}, {"COLORTERM", "truecolor"}, {"LANG", "cs_CZ.UTF-8"}, {"LC_TIME", "C"}, {"TZ", "Europe/Prague"}, {"NO_COLOR", "1"}}));
  EXPECT_TRUE(crossing_environment({{"TZ", ":/etc/passwd"}}).empty());
  EXPECT_TRUE(crossing_environment({{"TZ", "/etc/passwd"}}).empty());
  EXPECT_TRUE(crossing_environment({{"TZ", "a/../../b"}}).empty());
  EXPECT_TRUE(crossing_environment({{"TERM", "x\x1b[31m"}, {"LANG", "$(id)"}, {"NO_COLOR", ""}}).empty());
}

TEST(Text, LinesKeepWhatIsPlainAndShowTheRest) {
  EXPECT_EQ(visible_line("\tif (a\\b) ž"), "\tif (a\\b) ž");
  EXPECT_EQ(visible_line("a\x1b[2K\r"), "a\\x1b[2K\\x0d");
  EXPECT_EQ(visible_line("a\xe2\x80\xae" "b"), "a\\u{202e}b");
}

TEST(Text, JsonCannotActOnATerminal) {
  const auto text = escape_json("{\"a\":\"\xc2\x9b" "31m\x7f ž \xe2\x80\xae\"}");
  EXPECT_EQ(text, "{\"a\":\"\\u009b31m\\u007f ž \\u202e\"}");
}

TEST(Failure, RendersWhatWhyAndWhatToTry) {
  auto error = Error(ErrorKind::kNotFound, "no such file: /x").with_hint("locki vm build");
  error.add_context("while reading the recipe").add_context("while starting the VM");
  EXPECT_EQ(rendered(error, term::Style(false)),
            "locki: starting the VM failed\n"
            "  because reading the recipe failed: no such file: /x\n"
            "  try: locki vm build\n");
  EXPECT_EQ(rendered(Error(ErrorKind::kFailed, "it broke\nexit status 3\x1b[2J"), term::Style(false)), "locki: it broke\n    exit status 3\\x1b[2J\n");
}

TEST(Failure, ExitStatuses) {
  EXPECT_EQ(exit_status(Error(ErrorKind::kUsage, ""), false), 2);
  EXPECT_EQ(exit_status(Error(ErrorKind::kTimeout, ""), false), 1);
  EXPECT_EQ(exit_status(Error(ErrorKind::kUsage, ""), true), 125);
}

Words completions(const Words& words) {
  Words out;
  for (const auto& candidate : complete(kCommands, words, [](Completes what) -> Words {
         return what == Completes::kSandboxes ? Words{"fix-login", "my-feature"} : Words{"claude"};
       })) {
    out.push_back(candidate.word);
  }
  return out;
}

TEST(Completion, CommandsOptionsAndNames) {
  EXPECT_EQ(completions({"st"}), (Words{"start", "stop"}));
  EXPECT_EQ(completions({"vm", "st"}), (Words{"status", "start", "stop"}));
  EXPECT_EQ(completions({"claude", ""}), (Words{"fix-login", "my-feature"}));
  EXPECT_EQ(completions({"rm", "my"}), (Words{"my-feature"}));
  EXPECT_EQ(completions({"rm", "--de"}), (Words{"--delete-branch"}));
  EXPECT_EQ(completions({"-q", "rm", "f"}), (Words{"fix-login"}));
  EXPECT_EQ(completions({"agent", "update", ""}), (Words{"claude"}));
  EXPECT_TRUE(completions({"x", "fix-login", "--", ""}).empty());  // files
  EXPECT_TRUE(completions({"claude", "--from", ""}).empty());
  EXPECT_TRUE(completions({"__"}).empty());
  EXPECT_TRUE(completions({"daem"}).empty());
}

}  // namespace
}  // namespace locki::cli
