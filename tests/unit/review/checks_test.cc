// The single checks, and the rules' format.
#include <gtest/gtest.h>

#include "review/judge.h"
#include "review/manifest_checks.h"
#include "review/program_checks.h"
#include "review/text_checks.h"

namespace locki::review {
namespace {

using V = std::vector<std::string>;
using S = std::set<std::string>;

TEST(ReturnRules, Format) {
  const auto rules = ReturnRules::parse("# a comment\n\nbuild medium changed Makefile* make runs it\nlock high sources=a,b yarn.lock why\n");
  ASSERT_TRUE(rules);
  EXPECT_EQ(rules->size(), 2u);
  const auto of = rules->of({"sub/Makefile.in"}, false);
  ASSERT_EQ(of.size(), 1u);
  EXPECT_EQ(of[0]->name, "build");
  EXPECT_EQ(of[0]->severity, Severity::kMedium);
  EXPECT_EQ(of[0]->why, "make runs it");
  EXPECT_TRUE(rules->of({"Makefile.d/x"}, false).empty()) << "a file's name is no directory's";
  for (const char* bad : {"build medium changed Makefile", "build severe changed x why", "build medium chnged x why", "Build medium changed x why", "b medium json x why", "b medium changed=x x why", "b low lines= x why",
                          "b low changed a//b why", "b low lines=a,,b x why"})
    EXPECT_FALSE(ReturnRules::parse(bad)) << bad;
}

TEST(ReturnRules, TheUserWidensAndNarrows) {
  auto rules = *ReturnRules::parse("program high program * why\nbuild medium changed *.mk why\n");
  ASSERT_TRUE(rules.report("/deploy/"));
  ASSERT_TRUE(rules.ignore("program /tests/data/"));
  ASSERT_TRUE(rules.ignore("* vendor/"));
  EXPECT_EQ(rules.of({"deploy/x/y.txt"}, false).back()->name, "yours");
  EXPECT_TRUE(rules.of({"tests/data/x.bin"}, false).empty());
  EXPECT_EQ(rules.of({"tests/data/x.mk"}, false).size(), 1u);
  EXPECT_TRUE(rules.of({"a/vendor/x.mk"}, false).empty());
  EXPECT_TRUE(rules.ignored("held", "vendor/.envrc"));
  for (const char* bad : {"", "program", "program a b", "Program x", "program a//b"}) EXPECT_FALSE(rules.ignore(bad)) << bad;
}

TEST(Sources, AreHostsAndWhereManyOwnersShareOneOwnersToo) {
  EXPECT_EQ(sources_in("\"https://Registry.example/a/-/a-1.tgz\" 'https://registry.example/b'"), S{"https://registry.example"});
  EXPECT_EQ(sources_in("git+ssh://git@github.com/a/b.git#1, https://github.com/a/b/archive/x.tgz"), (S{"git+ssh://git@github.com/a/b", "https://github.com/a/b"}));
  EXPECT_EQ(sources_in("git@host.example:a/b.git"), S{"git@host.example:a/b.git"});
  EXPECT_EQ(sources_in("github:a/b file:../x @s/b@npm:1.0 mygithub:x"), (S{"github:a/b", "file:../x"}));
  EXPECT_EQ(sources_in("https://good.example@evil.example/x"), S{"https://good.example@evil.example"});
  EXPECT_EQ(sources_in("://x https:// a://"), S{});
  EXPECT_EQ(sources_in_json(R"({"homepage":"https://a.example","dependencies":{"b":"https://b.example/x"}})", {"dependencies"}), S{"https://b.example"});
  EXPECT_EQ(sources_in_json("{broken https://a.example", {"dependencies"}), S{"https://a.example"});
}

TEST(Keys, NameWhatChanged) {
  EXPECT_EQ(changed_json_keys(R"({"scripts":{"a":"1","b":"2"}})", R"({"scripts":{"b":"2","a":"3","c":"4"}})", {"scripts"}), (V{"scripts.a", "scripts.c"}));
  EXPECT_EQ(changed_json_keys("", R"({"bin":"x","other":1})", {"bin", "scripts"}), V{"bin"});
  EXPECT_EQ(changed_json_keys("{broken", R"({"bin":"x"})", {"bin"}), V{"bin"});
  EXPECT_EQ(changed_json_keys("{}", "{broken", {"bin"}).size(), 1u);
  EXPECT_EQ(changed_json_keys("{}", std::string(100'000, '['), {"bin"}).size(), 1u);
  EXPECT_EQ(changed_toml_keys("a.b=1\n", "[a]\nb = 1\nc = 2\n", {"a"}), V{"a.c"});
  EXPECT_EQ(changed_toml_keys("", "x = [", {"a"}).size(), 1u);
  const V readings{"[a]\nb = 1\n", "a.b=1", "a = { b = 1 }\n", "\"\\u0061\".'b' = 1", "[ a ]\r\n\"b\" = 1 # c\r\n", "\xef\xbb\xbf[a]\nb=[\n1, # one\n]\n", "[[a]]\nb = \"\"\"\n[x]\n\"\"\"\"\n"};
  for (const std::string& text : readings) {
    EXPECT_EQ(changed_toml_keys("", text, {"a.b"}).size(), 1u) << text;
    EXPECT_NE(changed_toml_keys("", text, {"a.b"}), V{"it is no TOML that can be read"}) << text;
  }
  EXPECT_EQ(changed_toml_keys("", "b = 1\n[c]\na.b = 1\nx = '''a.b = 1'''\n[d.a]\nb = 2\n", {"a.b"}), V{});
  EXPECT_EQ(changed_toml_keys("[a]\nb = [1, 2]\n", "[a]\nb = [1,\n  2 # two\n]\nc.d = 3", {"a.b"}), V{}) << "the same value, written otherwise";
  for (const char* broken : {"a", "a =", "= 1", "[a", "[a] b", "a = ]", "a = \"x", "a = '''x", "a. = 1", "\"a\\q\" = 1", "[[a]\n"})
    EXPECT_EQ(changed_toml_keys("", broken, {"x"}), V{"it is no TOML that can be read"}) << broken;
  EXPECT_EQ(changed_toml_keys("", "x = " + std::string(100'000, '['), {"a"}).size(), 1u);
  EXPECT_EQ(new_lines_with("a => b\n", "  a => b\nc =>d\n", {"=>"}, 9), V{"c =>d"});
  EXPECT_EQ(new_lines_with("", "tool x\nmy tool\n", {"^tool"}, 9), V{"tool x"});
}

TEST(Programs, ByContent) {
  EXPECT_FALSE(program_kind(""));
  EXPECT_FALSE(program_kind("MZ"));
  EXPECT_FALSE(program_kind(std::string_view("\xca\xfe\xba\xbe\0\0", 6)));
  EXPECT_EQ(program_kind(std::string_view("\xca\xfe\xba\xbe\0\0\0\x02", 8)), "a Mach-O program or library");
  EXPECT_EQ(program_kind(std::string_view("\xca\xfe\xba\xbe\0\0\0\x41", 8)), "a Java class");
  EXPECT_EQ(shebang("#!/bin/sh -e\nx"), "/bin/sh -e");
  EXPECT_EQ(shebang("#! /usr/bin/env node"), "/usr/bin/env node");
  EXPECT_FALSE(shebang("#!"));
  EXPECT_FALSE(shebang("#![no_std]\n"));
}

TEST(Text, LinesAreNumbered) {
  const auto line = first_new_odd_line("", "one\ntwo\n\xe2\x80\xae three\n", Oddity::kDirection);
  ASSERT_TRUE(line);
  EXPECT_EQ(describe(*line), "U+202E in line 3");
  EXPECT_FALSE(first_new_odd_line("x\n\xe2\x80\xae three\n", "\xe2\x80\xae three\ny\n", Oddity::kDirection)) << "moved, not made";
}

TEST(Judge, WhatIsTooLargeIsSaid) {
  const Rules rules{*HoldRules::parse("x why\n"), *ReturnRules::parse("a low program * why\n")};
  const Change change{"big", {}, {kModeFile, "\x7f" "ELF", true}};
  const auto found = judge(change, rules, {{}, [](std::string_view) { return false; }});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].rule, "unread");
  EXPECT_EQ(found[1].rule, "a");
}

}  // namespace
}  // namespace locki::review
