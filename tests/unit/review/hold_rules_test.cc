#include "review/hold_rules.h"

#include <gtest/gtest.h>

#include "base/path_rules.h"
#include "review/links.h"
#include "review/repository_parts.h"
#include "sys/file.h"

namespace locki::review {
namespace {

HoldRules rules() {
  auto text = sys::read_file(std::filesystem::path(LOCKI_SOURCE_DIR) / "share/review/held.rules");
  auto parsed = HoldRules::parse(*text);
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().describe());
  return *parsed;
}

TEST(HoldRules, HoldWhatRunsByItself) {
  const auto r = rules();
  for (const char* path : {".vscode/tasks.json", "sub/dir/.vscode/settings.json", ".vscode", "app.code-workspace", ".idea/workspace.xml", ".envrc", "a/.envrc", "CLAUDE.md", "pkg/AGENTS.md",
                           ".claude/settings.local.json", ".mcp.json", ".husky/pre-commit", "lefthook.yml", ".pre-commit-config.yaml", ".devcontainer/devcontainer.json", ".devcontainer.json",
                           ".nvim.lua", ".exrc", ".tool-versions", "mise.toml", ".mise.local.toml", ".config/mise/config.toml", ".github/copilot-instructions.md", ".cargo/config.toml",
                           ".gitattributes", "deep/.gitattributes", ".npmrc", "node_modules/x/index.js", ".cursor/rules/a.mdc", ".git-hooks/x", ".zed/tasks.json", "venv/bin/python"}) {
    EXPECT_TRUE(r.why(path)) << path;
  }
}

TEST(HoldRules, LetOrdinaryWorkPass) {
  const auto r = rules();
  for (const char* path : {"README.md", "src/main.cc", "Makefile", "package.json", "package-lock.json", "Cargo.toml", ".editorconfig", ".gitignore", ".github/workflows/ci.yml", "docs/claude.md.txt",
                           "vscode/tasks.json", "src/envrc", "tsconfig.json", ".eslintrc.json", "environment", "src/mise/main.go", "settings/app.json", ".clang-format", "idea/x", "tests/HEADER", ".dockerignore",
                           ".github/ISSUE_TEMPLATE/bug.md", "cargo/config.toml", "a~b", "backup.~1~", "x/head.html"}) {
    EXPECT_FALSE(r.why(path)) << path << ": " << *r.why(path);
  }
}

TEST(HoldRules, EverySpellingAFileSystemMayTakeForTheName) {
  const auto r = rules();
  for (const char* path : {".VSCode/tasks.json", ".vscode./tasks.json", ".vscode /tasks.json", ".vs\xe2\x80\x8d" "code/tasks.json", ".v\xc5\xbf" "code/tasks.json", ".vscode::$DATA/tasks.json", "claude.MD", "CLAUDE.md.",
                           ".mcp.j\xc5\xbfon", "VSCODE~1/tasks.json", "agents~1.md", ".env\xef\xbb\xbfrc"}) {
    EXPECT_TRUE(r.why(path)) << path;
  }
}

TEST(HoldRules, ASymlinkThatALookupWouldPassThrough) {
  const auto r = rules();
  EXPECT_TRUE(r.why_link(".github"));
  EXPECT_TRUE(r.why_link("sub/.github"));
  EXPECT_TRUE(r.why_link(".vscode"));
  EXPECT_TRUE(r.why_link(".config"));
  EXPECT_FALSE(r.why(".github"));
  EXPECT_FALSE(r.why_link("latest"));
}

TEST(HoldRules, TheUserWidensAndNarrows) {
  auto r = rules();
  ASSERT_TRUE(r.hold("/scripts/*.sh", "mine"));
  ASSERT_TRUE(r.allow("docs/AGENTS.md"));
  ASSERT_TRUE(r.allow(".vscode/settings.json"));
  EXPECT_EQ(r.why("scripts/x.sh"), "mine");
  EXPECT_FALSE(r.why("a/scripts/x.sh"));
  EXPECT_FALSE(r.why("docs/AGENTS.md"));
  EXPECT_TRUE(r.why("AGENTS.md"));
  EXPECT_FALSE(r.why(".vscode/settings.json"));
  EXPECT_TRUE(r.why(".vscode/tasks.json"));
  for (const char* bad : {"", "/", "a//b", "../x", "a/**/b", "a/./b", "\xff"}) EXPECT_FALSE(r.hold(bad, "x")) << bad;
}

TEST(HoldRules, FilesThatAreNoneAreErrors) {
  EXPECT_FALSE(HoldRules::parse(".envrc\n"));
  EXPECT_FALSE(HoldRules::parse("a//b  why\n"));
  EXPECT_TRUE(HoldRules::parse("# only a comment\n\n"));
}

TEST(Glob, Matches) {
  EXPECT_TRUE(glob_matches("*.toml", ".toml"));
  EXPECT_TRUE(glob_matches("mise.*.toml", "mise.a.b.toml"));
  EXPECT_FALSE(glob_matches("mise.*.toml", "mise.toml"));
  EXPECT_TRUE(glob_matches("a?c*", "abc"));
  EXPECT_FALSE(glob_matches("", "a"));
  EXPECT_TRUE(glob_matches(std::string(500, '*') + "b", std::string(1000, 'a') + "b"));
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

std::vector<std::string> names(const Links& links, std::string_view path) {
  auto found = links.names_of(path);
  return found ? *found : std::vector<std::string>{"?"};
}

TEST(Links, GiveFilesOtherNames) {
  Links links;
  links.add(".vscode", "conf/editor");
  links.add("docs/AGENTS.md", "../notes/agents.txt");
  links.add("conf", "real");
  using V = std::vector<std::string>;
  EXPECT_EQ(names(links, "conf/editor/tasks.json"), (V{"conf/editor/tasks.json", ".vscode/tasks.json"}));
  EXPECT_EQ(names(links, "real/editor/tasks.json"), (V{"real/editor/tasks.json", "conf/editor/tasks.json", ".vscode/tasks.json"}));
  EXPECT_EQ(names(links, "CONF/Editor/tasks.json"), (V{"CONF/Editor/tasks.json", ".vscode/tasks.json"}));
  EXPECT_EQ(names(links, "notes/agents.txt"), (V{"notes/agents.txt", "docs/AGENTS.md"}));
  EXPECT_EQ(names(links, "other"), V{"other"});
}

TEST(Links, LoopsAndFloodsEnd) {
  Links links;
  links.add("a", ".");
  links.add("b/c", "..");
  links.add("out", "../../etc");
  links.add("abs", "/etc");
  EXPECT_EQ(names(links, "file"), (std::vector<std::string>{"file", "a/file", "b/c/file", "b/c/a/file", "a/b/c/file"}));
  Links many;
  for (int i = 0; i < 1000; ++i) many.add("l" + std::to_string(i), "d");
  EXPECT_FALSE(many.names_of("d/x"));
  EXPECT_TRUE(many.names_of("e/x"));
}

TEST(RepositoryParts, HeadAndWhatAnExistingOneRuns) {
  const auto none = [](std::string_view) { return false; };
  EXPECT_TRUE(why_repository_part("evil/HEAD", none));
  EXPECT_TRUE(why_repository_part("evil/head.", none));
  EXPECT_TRUE(why_repository_part("HEAD", none));
  EXPECT_FALSE(why_repository_part("evil/config", none));
  const auto fixture = [](std::string_view directory) { return directory == "fixtures/a.git"; };
  for (const char* path : {"fixtures/a.git/config", "fixtures/a.git/hooks/pre-commit", "fixtures/a.git/commondir", "fixtures/a.git/CONFIG"})
    EXPECT_TRUE(why_repository_part(path, fixture)) << path;
  EXPECT_FALSE(why_repository_part("fixtures/a.git/description", fixture));
  EXPECT_FALSE(why_repository_part("fixtures/config", fixture));
}

}  // namespace
}  // namespace locki::review
