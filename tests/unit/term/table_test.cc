#include "term/table.h"

#include <gtest/gtest.h>

#include "term/width.h"

namespace locki::term {
namespace {

TEST(Width, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("漢字"), 4U);
  EXPECT_EQ(display_width("e\u0301"), 1U);
}

TEST(Width, FitsWithAnEllipsis) {
  EXPECT_EQ(fit("abcdef", 6), "abcdef");
  EXPECT_EQ(fit("abcdef", 5), "abcd…");
  EXPECT_EQ(fit("漢字漢字", 5), "漢字…");
  EXPECT_EQ(fit("漢字漢字", 4), "漢…");
  EXPECT_EQ(fit("abc", 0), "");
  EXPECT_EQ(fit("abc", 1), "…");
}

Table sample() {
  Table table({{.title = "NAME"}, {.title = "STATE"}, {.title = "AHEAD", .right = true}, {.title = "WORKTREE", .shrinks = true}});
  table.add({"fix-login", Cell("running", Tint::kGreen), "3", "/home/me/.local/share/locki/worktrees/app/fix-login"});
  table.add({"漢字", "stopped"});
  return table;
}

TEST(Table, AlignsAndLeavesNoTrailingBlanks) {
  EXPECT_EQ(sample().render(0, Style(false)),
            "NAME       STATE    AHEAD  WORKTREE\n"
            "fix-login  running      3  /home/me/.local/share/locki/worktrees/app/fix-login\n"
            "漢字       stopped\n");
}

TEST(Table, ShrinksWhatMay) {
  const auto text = sample().render(50, Style(false));
  EXPECT_NE(text.find("fix-login  running      3  /home/me/.local/share/…\n"), std::string::npos) << text;
}

TEST(Table, CellsCannotActOnTheTerminal) {
  Table table({{.title = "NAME"}});
  table.add({"a\x1b]52;c;eA==\x07"});
  const auto text = table.render(0, Style(true));
  EXPECT_EQ(text.find("\x1b]"), std::string::npos);
  EXPECT_NE(text.find("\\x1b]52"), std::string::npos) << text;
}

TEST(Style, ColoursOnlyWhenEnabled) {
  EXPECT_EQ(Style(false).red("x"), "x");
  EXPECT_EQ(Style(true).red("x"), "\x1b[31mx\x1b[0m");
}

}  // namespace
}  // namespace locki::term
