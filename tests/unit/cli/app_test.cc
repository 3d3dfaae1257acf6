// Commands from their words to their output, against a scripted daemon. Golden files: LOCKI_ACCEPT=1 writes them anew.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/commands.h"
#include "cli/help.h"
#include "sys/file.h"
#include "sys/process.h"
#include "unit/cli/fakes.h"

namespace locki::cli {
namespace {

void golden(const std::string& name, const std::string& text) {
  const auto path = std::string(LOCKI_SOURCE_DIR) + "/tests/golden/cli/" + name;
  if (std::getenv("LOCKI_ACCEPT") != nullptr) {
    ASSERT_TRUE(sys::write_file(path, text));
    return;
  }
  const auto wanted = sys::read_file(path);
  ASSERT_TRUE(wanted) << path << " is missing; LOCKI_ACCEPT=1 writes it";
  EXPECT_EQ(text, *wanted) << "if this is meant: LOCKI_ACCEPT=1";
}

const char* const kSandboxes = R"({"sandboxes":[
 {"name":"fix-login","repo":"/home/me/app","branch":"fix-login","worktree":"/home/me/.local/share/locki/worktrees/app/fix-login","state":"running",
  "agents":["claude","codex"],"created":"2026-01-02T03:04:05Z","mirror":{"state":"agreed","held":2,"conflicts":1,"problem":""},"dirty":true,"ahead":3,"sessions":1},
 {"name":"docs","repo":"/home/me/app","branch":"docs","worktree":"/home/me/.local/share/locki/worktrees/app/docs","state":"stopped",
  "agents":[],"created":"2026-01-02T03:04:05Z","mirror":{"state":"stopped","held":0,"conflicts":0,"problem":""},"dirty":null,"ahead":null,"sessions":0},
 {"name":"x\u001b]52;c;eA==\u0007","state":"broken","problem":"the record is damaged"}]})";

TEST(Golden, HelpOfEveryCommand) {
  Desk desk;
  ASSERT_EQ(desk.run({"--help"}), 0);
  std::string text = desk.out;
  for (const auto& command : all_commands(desk.context.agents)) {
    if (command.passes_rest && command.name != "claude" && command.name != "exec") continue;  // the agents are alike
    ASSERT_EQ(desk.run({command.name, "--help"}), 0) << command.name;
    text += "\n──── " + command.name + "\n" + desk.out;
    for (const auto& child : command.children) {
      ASSERT_EQ(desk.run({command.name, child.name, "--help"}), 0);
      text += "\n──── " + command.name + " " + child.name + "\n" + desk.out;
    }
    EXPECT_EQ(desk.err, "");
  }
  golden("help.txt", text);
}

TEST(Golden, List) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  ASSERT_EQ(desk.run({"list"}), 0);
  std::string text = desk.out;
  desk.context.terminal.out_facts = {.terminal = true, .colour = true, .moving = true, .columns = 72};
  ASSERT_EQ(desk.run({"ls", "--all"}), 0);
  text += "\n" + desk.out;
  EXPECT_EQ(text.find("\x1b]"), std::string::npos);
  ASSERT_EQ(desk.run({"list", "--json"}), 0);
  golden("list.txt", text + "\n" + desk.out);
}

TEST(Golden, VmStatus) {
  Desk desk;
  desk.services.answer("vm.status", R"({"state":"running","accelerator":"tcg","accelerator_note":"KVM does not work here","pid":42,"cpus":2,"memory_mib":4096,
    "memory_used_bytes":734003200,"disk_bytes":68719476736,"disk_used_bytes":2147483648,"uptime_s":4000,"problem":"","last_exit":"",
    "roots":{"vmm":{"key":"0123456789abcdef","built":true},"sandbox":{"key":"fedcba9876543210","built":false}}})");
  ASSERT_EQ(desk.run({"vm", "status"}), 0);
  std::string text = desk.out;
  ASSERT_EQ(desk.run({"vm", "status", "--json"}), 0);
  golden("vm-status.txt", text + "\n" + desk.out);
}

TEST(Golden, NetAndDoctor) {
  Desk desk;
  desk.services.answer("net.policy", R"({"mode":"gate","rules":[{"rule":"allow .example.org","source":"config.toml"}],"services":[{"name":"model.locki.internal","target":"127.0.0.1:8000"}]})");
  desk.services.answer("net.log", R"({"entries":[
    {"time":"2026-01-02T03:04:05Z","event":"refused","host":"evil.example","port":443,"sandbox":"fix","rule":"default","reason":"no rule allows it","bytes_out":0,"bytes_in":0},
    {"time":"2026-01-02T03:04:06Z","event":"closed","host":"a.example.org","port":443,"sandbox":"fix","rule":"allow .example.org","bytes_out":2048,"bytes_in":1048576}]})");
  desk.services.answer("net.explain", R"({"text":"evil.example:443 is refused:\n  no rule allows it"})");
  desk.services.answer("doctor", R"({"checks":[{"name":"git","ok":true,"detail":"/usr/bin/git","remedy":""},{"name":"mmdebstrap","ok":false,"detail":"not found","remedy":"apt install mmdebstrap"}]})");
  desk.services.answer("agent.list", R"({"agents":[{"name":"claude","title":"Claude Code","package":"@anthropic-ai/claude-code","installed":"2.0.1"},{"name":"pi","title":"pi","package":"pi","installed":null}]})");
  std::string text;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"net", "policy"}, {"net", "log"}, {"net", "policy", "--explain", "evil.example"}, {"agent", "list"}}) {
    ASSERT_EQ(desk.run(words), 0) << desk.err;
    text += desk.out + "\n";
  }
  ASSERT_EQ(desk.run({"doctor"}), 1);
  golden("net-doctor.txt", text + desk.out);
}

TEST(Golden, Errors) {
  Desk desk;
  std::string text;
  const auto add = [&](const std::vector<std::string>& words, int status) {
    EXPECT_EQ(desk.run(words), status);
    EXPECT_EQ(desk.out, "");
    text += "$ locki " + join(words, " ") + "\n" + desk.err + "\n";
  };
  desk.services.answer("sandbox.list", R"({"sandboxes":[{"name":"fix"},{"name":"docs"}]})");
  auto no_space = Error(ErrorKind::kNoSpace, "2 GiB are needed in /home/me/.cache, 1 GiB is free").with_hint("make room, then try again");
  no_space.add_context("while building the VM system").add_context("while starting the virtual machine");
  desk.services.refuse("vm.start", no_space);
  desk.services.refuse("sandbox.open", Error(ErrorKind::kUnavailable, "the virtual machine does not answer"));
  add({"lsit"}, 2);
  add({"new"}, 2);
  add({"new", "a b"}, 2);
  add({"new", "a", "--frm", "x"}, 2);
  add({"start"}, 2);
  add({"vm", "start"}, 1);
  add({"claude", "fix"}, 125);
  add({"x"}, 125);
  add({"x", "-z"}, 125);
  add({"undo", "fix", "../x"}, 2);
  add({"undo", "fix"}, 2);
  add({"new", "a", "b"}, 2);
  add({"x", "-Z"}, 125);
  add({"net", "log", "-n"}, 2);
  add({"remove"}, 2);
  add({"cp", "fix", "."}, 2);
  add({"completion", "tcsh"}, 2);
  golden("errors.txt", text);
}

TEST(App, VersionAndBareCall) {
  Desk desk;
  EXPECT_EQ(desk.run({"--version"}), 0);
  EXPECT_TRUE(desk.out.starts_with("locki "));
  EXPECT_EQ(desk.run({}), 0);
  EXPECT_NE(desk.out.find("Usage:"), std::string::npos);
  EXPECT_EQ(desk.run({"vm"}), 2);
  EXPECT_EQ(desk.run({"daemon"}), 7);
  EXPECT_TRUE(desk.services.calls.empty());
}

TEST(App, NewPrintsTheWorktree) {
  Desk desk;
  desk.services.answer("sandbox.new", R"({"name":"fix","worktree":"/home/me/wt/fix"})");
  ASSERT_EQ(desk.run({"new", "fix", "--from", "main"}), 0);
  EXPECT_EQ(desk.out, "/home/me/wt/fix\n");
  EXPECT_EQ(json::serialize(desk.services.calls.at(0).params), R"({"cwd":"/home/me/app","name":"fix","from":"main"})");
}

TEST(App, RemovePassesItsFlags) {
  Desk desk;
  desk.services.answer("sandbox.remove", "{}");
  ASSERT_EQ(desk.run({"rm", "fix", "--force", "--delete-branch"}), 0);
  EXPECT_EQ(json::serialize(desk.services.calls.at(0).params), R"({"cwd":"/home/me/app","name":"fix","force":true,"delete_branch":true})");
  EXPECT_EQ(desk.out, "");
  ASSERT_EQ(desk.run({"-q", "rm", "fix"}), 0);
  EXPECT_EQ(desk.err, "");
  EXPECT_EQ(desk.run({"rm", "fix", "--merged"}), 2);
}

TEST(App, UndoTakesAnIdOfTheHistory) {
  Desk desk;
  desk.services.answer("sandbox.undo", "{}");
  ASSERT_EQ(desk.run({"undo", "fix", "3f2a9c01b7de"}), 0) << desk.err;
  EXPECT_EQ(json::serialize(desk.services.calls.at(0).params), R"({"cwd":"/home/me/app","name":"fix","id":"3f2a9c01b7de"})");
}

// Against a real repository: what is committed, what is not, and what is new; nothing that the sandbox's files name is run.
TEST(App, DiffShowsAllAndRunsNothing) {
  auto directory = sys::TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(directory);
  const auto repo = directory->path() / "app";
  const auto script = "set -e; export GIT_CONFIG_GLOBAL=/dev/null; git init -q -b main " + repo.string() + "; cd " + repo.string() +
                      "; git config user.name t; git config user.email t@t; git config diff.evil.textconv 'touch ../ran;cat'; git config filter.evil.clean 'touch ../ran;cat';"
                      "echo one > a; git add a; git commit -qm one; git worktree add -q -b fix ../wt; cd ../wt;"
                      "echo two > a; git commit -qam two; echo three >> a; printf 'new\\033[2Kline\\n' > b; echo '* diff=evil filter=evil' > .gitattributes";
  ASSERT_TRUE(sys::run_ok({.program = "/bin/bash", .args = {"-c", script}, .environment = sys::clean_environment()}));
  const auto worktree = (directory->path() / "wt").string();
  Desk desk;
  desk.context.paths.home = directory->path();
  desk.services.answer("sandbox.list", R"({"sandboxes":[{"name":"fix","worktree":")" + worktree + R"(","repo":")" + repo.string() + R"("}]})");
  auto pipe = sys::make_pipe();
  ASSERT_TRUE(pipe);
  desk.context.terminal.out = pipe->write.get();
  ASSERT_EQ(desk.run({"diff", "fix"}), 0) << desk.err;
  pipe->write.reset();
  const auto text = sys::read_all(pipe->read.get(), 1 << 20);
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("-one\n+two\n+three\n"), std::string::npos) << *text;
  EXPECT_NE(text->find("+new\x1b[2Kline"), std::string::npos) << *text;
  EXPECT_FALSE(std::filesystem::exists(directory->path() / "ran"));
  const auto status = sys::run_ok({.program = "/usr/bin/git", .args = {"-C", worktree, "diff", "--cached", "--name-only"}, .environment = sys::clean_environment()});
  EXPECT_EQ(*status, "") << "the worktree's own index must not change";
}

TEST(Review, ShowsWhatIsHeldAndSaysSoByItsStatus) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  desk.services.answer("sandbox.review", R"j({"changed":1,"findings":[],"held":[{"path":".envrc\u001b[2J","why":"direnv runs it","kind":"file","size":5,"executable":true,"new":true,"diff":"@@ -0,0 +1 @@\n+\u001b]0;x\u0007\n","note":""}]})j");
  EXPECT_EQ(desk.run({"review", "fix"}), 3);
  EXPECT_NE(desk.out.find("direnv runs it"), std::string::npos) << desk.out;
  EXPECT_EQ(desk.out.find('\x1b'), std::string::npos) << "what a sandbox wrote acts on no terminal";
  EXPECT_EQ(desk.out.find('\x07'), std::string::npos);
  EXPECT_EQ(desk.run({"review", "fix", "--json"}), 3);
  desk.services.answer("sandbox.review", R"({"held":[],"findings":[],"changed":7})");
  EXPECT_EQ(desk.run({"review", "fix"}), 0);
  EXPECT_NE(desk.err.find("7 changed files"), std::string::npos) << desk.err;
  EXPECT_EQ(desk.run({"review", "fix", "--json"}), 0);
  EXPECT_EQ(desk.out, "[]\n");
  desk.services.answer("sandbox.accept", R"({"accepted":[".envrc"]})");
  EXPECT_EQ(desk.run({"review", "fix", "--accept", ".envrc", "--accept", ".vscode/*"}), 0);
  EXPECT_EQ(json::get_array(desk.services.call_of("sandbox.accept")->params, "paths")->size(), 2u);
}

const char* const kFindings = R"([
  {"path":"package.json","rule":"npm-install","severity":"high","why":"it runs when the package is installed","detail":"scripts.postinstall","where":"branch","mode":33188,"content":""},
  {"path":"src/a\u202eb.c\u001b]0;x\u0007","rule":"name","severity":"high","why":"its name deceives","detail":"","where":"worktree","mode":33188,"content":""},
  {"path":"Makefile","rule":"build","severity":"medium","why":"make runs it","detail":"changed","where":"branch","mode":33188,"content":""},
  {"path":"sub/Makefile","rule":"build","severity":"medium","why":"make runs it","detail":"new","where":"branch","mode":33188,"content":""},
  {"path":"x","rule":"symlink","severity":"low","why":"a symlink","detail":"to y","where":"branch","mode":40960,"content":""}])";

TEST(Golden, Review) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  desk.services.answer("sandbox.review", std::string(R"({"changed":9,"held":[{"path":".envrc","why":"direnv runs it","kind":"file","size":5,"executable":false,"new":true,"diff":"@@ -0,0 +1 @@\n+export A=1\n","note":""}],"findings":)") + kFindings + "}");
  ASSERT_EQ(desk.run({"review", "fix-login"}), 3);
  std::string text = desk.out + desk.err;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos);
  ASSERT_EQ(desk.run({"review", "fix-login", "--json"}), 3);
  golden("review.txt", text + "\n" + desk.out);
  desk.services.answer("sandbox.review", R"({"held":[],"changed":1,"findings":[{"path":"a"}]})");
  EXPECT_EQ(desk.run({"review", "fix-login"}), 1) << "a finding without a severity";
}

// A repository of the user's with a branch "fix-login" that a sandbox could have made, and the daemon's answer about it.
class MergeDesk : public Desk {
 public:
  MergeDesk() : directory_(std::move(*sys::TemporaryDirectory::make(std::filesystem::temp_directory_path(), "locki-merge"))) {
    context.paths.home = directory_.path().string();
    context.cwd = directory_.path() / "app";
    std::filesystem::create_directory(context.cwd);
    git({"init", "-q", "-b", "main"});
    git({"config", "user.name", "Human"});
    git({"config", "user.email", "human@example.org"});
    git({"commit", "-q", "--allow-empty", "-m", "first"});
    git({"checkout", "-q", "-b", "fix-login"});
    EXPECT_TRUE(sys::write_file(context.cwd + "/new.txt", "new\n"));
    git({"add", "-A"});
    git({"commit", "-q", "-m", "inside"});
    tip = git({"rev-parse", "HEAD"});
    git({"checkout", "-q", "main"});
    services.answer("sandbox.list", R"({"sandboxes":[{"name":"fix-login","repo":"/home/me/app","branch":"fix-login","worktree":"/home/me/wt/fix-login","state":"running","dirty":true}]})");
  }
  std::string git(std::vector<std::string> args) const {
    sys::ProcessSpec spec{.program = "/usr/bin/git", .args = std::move(args), .environment = sys::clean_environment(), .directory = context.cwd};
    spec.environment["HOME"] = directory_.path();
    const auto said = sys::run_ok(spec);
    EXPECT_TRUE(said) << (said ? "" : said.error().describe());
    return said ? std::string(trim(*said)) : "";
  }
  void find(const std::string& findings, bool shown_before) {
    services.answer("sandbox.review", R"({"changed":1,"held":[],"findings":)" + findings + R"(,"tip":")" + tip + R"(","shown_before":)" + (shown_before ? "true}" : "false}"));
  }
  std::string tip;

 private:
  sys::TemporaryDirectory directory_;
};

TEST(Merge, WhatIsHarmlessIsMerged) {
  MergeDesk desk;
  desk.find(R"([{"path":"Makefile","rule":"build","severity":"medium","why":"make runs it","detail":"","where":"branch","mode":1,"content":""}])", false);
  ASSERT_EQ(desk.run({"merge", "fix-login"}), 0) << desk.err;
  EXPECT_EQ(desk.git({"rev-parse", "HEAD"}), desk.tip);
  EXPECT_NE(desk.err.find("1 medium"), std::string::npos) << desk.err;
  EXPECT_NE(desk.err.find("was not merged"), std::string::npos) << "uncommitted work is not forgotten: " << desk.err;
  EXPECT_EQ(json::string_or(desk.services.call_of("sandbox.review")->params, "into").size(), 40u);
}

TEST(Merge, WhatIsHighTakesALook) {
  MergeDesk desk;
  const auto head = desk.git({"rev-parse", "HEAD"});
  desk.find(kFindings, false);
  EXPECT_EQ(desk.run({"merge", "fix-login"}), 3);
  EXPECT_NE(desk.out.find("package.json"), std::string::npos) << desk.out;
  EXPECT_EQ(desk.out.find("Makefile"), std::string::npos) << "only what stands in the way";
  EXPECT_EQ(desk.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(desk.run({"merge", "fix-login", "--json"}), 3);
  EXPECT_EQ(desk.run({"merge", "fix-login", "--reviewed"}), 3) << "this state had not been shown";
  EXPECT_EQ(desk.git({"rev-parse", "HEAD"}), head);
  desk.find(kFindings, true);
  EXPECT_EQ(desk.run({"merge", "fix-login"}), 3);
  EXPECT_EQ(desk.run({"merge", "fix-login", "--reviewed", "--no-ff"}), 0) << desk.err;
  EXPECT_EQ(desk.git({"log", "-1", "--format=%s"}), "Merge branch 'fix-login'");
}

TEST(Merge, RefusesADirtyCheckoutAndTheSandboxesOwn) {
  MergeDesk desk;
  desk.find("[]", false);
  ASSERT_TRUE(sys::write_file(desk.context.cwd + "/tracked", "1\n"));
  desk.git({"add", "tracked"});
  EXPECT_EQ(desk.run({"merge", "fix-login"}), 1);
  EXPECT_NE(desk.err.find("uncommitted changes"), std::string::npos) << desk.err;
  EXPECT_EQ(desk.services.call_of("sandbox.review"), nullptr) << "said before anything is waited for";
  desk.git({"rm", "-q", "--cached", "tracked"});
  EXPECT_EQ(desk.run({"merge", "fix-login", "--squash", "--no-ff"}), 2);
  ASSERT_EQ(desk.run({"merge", "fix-login", "--squash"}), 0) << desk.err;
  EXPECT_EQ(desk.git({"diff", "--cached", "--name-only"}), "new.txt");
  desk.git({"reset", "-q", "--hard"});
  desk.services.answer("sandbox.list", R"({"sandboxes":[{"name":"fix-login","repo":"/home/me/app","branch":"fix-login","worktree":")" + desk.context.cwd + R"(","state":"running"}]})");
  EXPECT_EQ(desk.run({"merge", "fix-login"}), 2);
}

TEST(Merge, AConflictIsGitsAndIsNamed) {
  MergeDesk desk;
  desk.find("[]", false);
  ASSERT_TRUE(sys::write_file(desk.context.cwd + "/new.txt", "mine\n"));
  desk.git({"add", "-A"});
  desk.git({"commit", "-q", "-m", "mine"});
  EXPECT_EQ(desk.run({"merge", "fix-login"}), 1);
  EXPECT_NE(desk.err.find("new.txt"), std::string::npos) << desk.err;
  EXPECT_NE(desk.err.find("git merge --abort"), std::string::npos) << desk.err;
  EXPECT_EQ(desk.run({"merge", "fix-login"}), 1);
  EXPECT_NE(desk.err.find("a merge is under way"), std::string::npos) << desk.err;
}

TEST(Sync, NamesWhatCouldNotBeCarried) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  desk.services.answer("sandbox.sync", R"({"name":"fix","conflicts":0,"held":0,"problem":"","stuck":[{"path":"data","text":"in the way"}]})");
  EXPECT_EQ(desk.run({"sync", "fix"}), 1);
  EXPECT_NE(desk.err.find("data: in the way"), std::string::npos) << desk.err;
  desk.services.answer("sandbox.sync", R"({"name":"fix","conflicts":0,"held":0,"problem":"","refused":"a submodule"})");
  EXPECT_EQ(desk.run({"sync", "fix"}), 1);
  desk.services.answer("sandbox.sync", R"({"name":"fix","conflicts":0,"held":0,"problem":"","branch":"unable to read 0000"})");
  EXPECT_EQ(desk.run({"sync", "fix"}), 1);
  EXPECT_NE(desk.err.find("unable to read 0000"), std::string::npos) << desk.err;
}

TEST(Fetch, BringsWhatIsNamedAndSaysWhatStays) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  desk.services.answer("sandbox.fetch", R"({"branches":[{"name":"one","ref":"refs/remotes/locki/fix-login/one","oid":"0123456789abcdef0123456789abcdef01234567","was":"","state":"new"}],
    "gone":[{"name":"old","ref":"refs/remotes/locki/fix-login/old","was":"1123456789abcdef0123456789abcdef01234567","deleted":false}],
    "left_out":[{"name":"b\u001b[2Jad","why":"has a character"}],"more":3})");
  ASSERT_EQ(desk.run({"fetch", "fix-login", "one", "two"}), 0) << desk.err;
  const auto& asked = desk.services.call_of("sandbox.fetch")->params;
  EXPECT_EQ(json::string_or(asked, "name"), "fix-login");
  EXPECT_EQ(json::get_array(asked, "branches")->size(), 2u);
  EXPECT_FALSE(json::bool_or(asked, "list"));
  EXPECT_NE(desk.out.find("locki/fix-login/one"), std::string::npos) << desk.out;
  EXPECT_NE(desk.out.find("0123456789ab "), std::string::npos) << desk.out;
  EXPECT_NE(desk.err.find("stays inside: b"), std::string::npos) << desk.err;
  EXPECT_NE(desk.err.find("no longer inside: locki/fix-login/old\n"), std::string::npos) << desk.err;
  EXPECT_NE(desk.err.find("locki fetch --prune fix-login"), std::string::npos) << desk.err;
  EXPECT_FALSE(json::bool_or(asked, "prune"));
  EXPECT_NE(desk.err.find("3 branches more"), std::string::npos) << desk.err;
  EXPECT_NE(desk.err.find("own branch"), std::string::npos) << desk.err;
  EXPECT_EQ((desk.out + desk.err).find('\x1b'), std::string::npos);
  ASSERT_EQ(desk.run({"fetch", "fix-login", "--json"}), 0);
  EXPECT_TRUE(json::parse_object(desk.out).has_value()) << desk.out;
  desk.services.calls.clear();
  ASSERT_EQ(desk.run({"fetch", "fix-login", "-l"}), 0);
  EXPECT_TRUE(json::bool_or(desk.services.call_of("sandbox.fetch")->params, "list"));
  EXPECT_EQ(desk.run({"fetch", "--prune", "fix-login", "one"}), 2);
  EXPECT_NE(desk.err.find("name none"), std::string::npos) << desk.err;
  desk.services.answer("sandbox.fetch", R"({"branches":[],"gone":[{"name":"old","was":"1123456789abcdef0123456789abcdef01234567","deleted":true}],"left_out":[],"more":0})");
  desk.services.calls.clear();
  ASSERT_EQ(desk.run({"fetch", "fix-login", "--prune"}), 0);
  EXPECT_TRUE(json::bool_or(desk.services.call_of("sandbox.fetch")->params, "prune"));
  EXPECT_NE(desk.err.find("deleted here: locki/fix-login/old (it was 1123456789abcdef0123456789abcdef01234567)"), std::string::npos) << desk.err;
  EXPECT_EQ(desk.err.find("--prune"), std::string::npos) << desk.err;
  desk.services.answer("sandbox.fetch", R"({"branches":[],"gone":[],"left_out":[],"more":0})");
  ASSERT_EQ(desk.run({"fetch", "fix-login"}), 0);
  EXPECT_NE(desk.err.find("no branch in fix-login but its own"), std::string::npos) << desk.err;
  desk.services.refuse("sandbox.fetch", Error(ErrorKind::kNotFound, "there is no branch 'x' inside"));
  EXPECT_EQ(desk.run({"fetch", "fix-login", "x"}), 1);
}

TEST(Review, OfAFetchedBranch) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  desk.services.answer("sandbox.review", R"({"held":[],"findings":[],"changed":7})");
  EXPECT_EQ(desk.run({"review", "fix-login", "--branch", "one"}), 0) << desk.err;
  EXPECT_EQ(json::string_or(desk.services.call_of("sandbox.review")->params, "branch"), "one");
  EXPECT_EQ(desk.run({"review", "fix-login", "--branch", "one", "--accept", "x"}), 2);
}

TEST(WhichSandbox, TheOneWeStandIn) {
  Desk desk;
  desk.services.answer("sandbox.list", kSandboxes);
  desk.services.answer("sandbox.sync", R"({"name":"docs","conflicts":0,"held":0,"problem":""})");
  desk.context.cwd = "/home/me/.local/share/locki/worktrees/app/docs/src";
  ASSERT_EQ(desk.run({"sync"}), 0) << desk.err;
  EXPECT_EQ(json::string_or(desk.services.call_of("sandbox.sync")->params, "name"), "docs");
  desk.context.cwd = "/home/me/.local/share/locki/worktrees/app/docs-2";  // only looks alike
  EXPECT_EQ(desk.run({"sync"}), 2);
}

TEST(WhichSandbox, AChoiceOnATerminal) {
  Desk desk;
  desk.services.answer("sandbox.list", R"({"sandboxes":[{"name":"fix","state":"running"},{"name":"docs"}]})");
  desk.services.answer("sandbox.stop", "{}");
  desk.context.terminal.in_facts.terminal = true;
  desk.context.terminal.err_facts = {.terminal = true, .moving = true};
  desk.services.picked = 1;
  ASSERT_EQ(desk.run({"stop"}), 0) << desk.err;
  EXPECT_EQ(json::string_or(desk.services.call_of("sandbox.stop")->params, "name"), "docs");
  EXPECT_EQ(desk.services.offered.at(0).detail, "running");
  desk.services.picked = std::nullopt;
  EXPECT_EQ(desk.run({"stop"}), 1);
}

TEST(Stop, ForceIsPassedOn) {
  Desk desk;
  desk.services.answer("sandbox.stop", "{}");
  ASSERT_EQ(desk.run({"stop", "fix"}), 0) << desk.err;
  EXPECT_FALSE(json::bool_or(desk.services.call_of("sandbox.stop")->params, "force"));
  desk.services.calls.clear();
  ASSERT_EQ(desk.run({"stop", "-f", "fix"}), 0) << desk.err;
  EXPECT_TRUE(json::bool_or(desk.services.call_of("sandbox.stop")->params, "force"));
}

TEST(List, SaysHowAgentsOnTheirOwnScreensAre) {
  Desk desk;
  desk.services.answer("sandbox.list", R"({"sandboxes":[{"name":"fix","state":"running","agents":["claude","codex","gemini","pi"],
    "screens":{"claude":"finished","codex":"finished","gemini":"waiting"},"ended":{"claude":0,"codex":7}}]})");
  ASSERT_EQ(desk.run({"list"}), 0) << desk.err;
  EXPECT_NE(desk.out.find("claude (finished) codex (finished, status 7) gemini (waiting for you) pi"), std::string::npos) << desk.out;
}

TEST(App, HostileAnswersAreErrorsNotCrashes) {
  Desk desk;
  for (const char* reply : {R"({"sandboxes":7})", R"({"sandboxes":[7]})", "{}"}) {
    desk.services.answer("sandbox.list", reply);
    EXPECT_EQ(desk.run({"list"}), 1) << reply;
    EXPECT_EQ(desk.run({"diff", "fix"}), 1) << reply;
  }
  for (const char* reply : {"{}", R"({"name":"a","instance":"b","worktree":"/w","uid":-1})"}) {
    desk.services.answer("sandbox.open", reply);
    EXPECT_EQ(desk.run({"x", "fix", "ls"}), 125) << reply;
  }
}

TEST(App, CompletionAsksARunningDaemonOnly) {
  Desk desk;
  desk.services.answer("sandbox.list", R"j({"sandboxes":[{"name":"fix"},{"name":"$(id)"}]})j");
  ASSERT_EQ(desk.run({"__complete", "--", "x", ""}), 0);
  EXPECT_EQ(desk.out, "fix\t\n");
  ASSERT_EQ(desk.run({"completion", "bash"}), 0);
  EXPECT_NE(desk.out.find("__complete"), std::string::npos);
}

}  // namespace
}  // namespace locki::cli
