#include "mirror/names.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace locki::mirror {
namespace {

TEST(Names, Good) {
  for (const char* path : {"a",
                           "src/main.cc",
                           "with space",
                           "ünï/cödé",
                           ".gitignore",
                           ".github/workflows/x.yml",
                           "git",
                           "a.git",
                           ".gitmodules",
                           ".gita",
                           "x.",
                           "~",
                           "git~",
                           "git~x",
                           "-rf",
                           "a:b",
                           "con",
                           "...",
                           "日本語/ファイル",
                           "\"quoted\""}) {
    EXPECT_TRUE(check_path(path).has_value()) << path;
  }
}

TEST(Names, Bad) {
  const std::string deep = [] {
    std::string path = "d";
    for (int i = 0; i < 64; ++i) path += "/d";
    return path;
  }();
  const std::string cases[] = {"",
                               "/",
                               "/a",
                               "a/",
                               "a//b",
                               ".",
                               "..",
                               "a/..",
                               "./a",
                               "a/./b",
                               std::string("a\0b", 3),
                               "a\nb",
                               "a\x1b[31m",
                               "a\x7f",
                               "a\xff",
                               "a\xc0\xaf",
                               "a\xed\xa0\x80",
                               "a\\b",
                               "a\xc2\x9b",
                               "a\xe2\x80\xae"
                               "b",
                               std::string(256, 'a'),
                               std::string(1600, 'a') + "/" + std::string(1600, 'a'),
                               deep,
                               ".locki-tmp-x",
                               "d/.LOCKI-tmp-x"};
  for (const std::string& path : cases) EXPECT_FALSE(check_path(path).has_value()) << printable(path);
}

TEST(Names, DotGitInEverySpelling) {
  for (const char* name : {".git", ".GIT", ".gIt", ".git.", ".git ", ".git. .", ".git...", "git~1", "GIT~1", "git~3",
                           "GIT~1.", ".git:x", ".git::$INDEX_ALLOCATION", ".g\xe2\x80\x8cit", ".git\xe2\x80\x8d",
                           ".gi\xef\xbb\xbft", "\xe2\x80\x8e.git", ".g\xc4\xb1t", ".G\xc4\xb0T"}) {
    EXPECT_TRUE(path_rules::is_dotgit(name)) << printable(name);
    EXPECT_FALSE(check_path(name).has_value()) << printable(name);
    EXPECT_FALSE(check_path("a/" + std::string(name)).has_value()) << printable(name);
    EXPECT_FALSE(check_path(std::string(name) + "/config").has_value()) << printable(name);
  }
}

TEST(Symlinks, StayInside) {
  EXPECT_TRUE(check_symlink("l", "target").has_value());
  EXPECT_TRUE(check_symlink("a/l", "../target/x").has_value());
  EXPECT_TRUE(check_symlink("a/b/l", "../../x").has_value());
  EXPECT_TRUE(check_symlink("a/l", ".").has_value());
  EXPECT_TRUE(check_symlink("a/l", "./x/./y/").has_value());
  for (const char* target : {"", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".git", ".git/config",
                             "x/.GIT/config", "a\nb", "a\\b", "git~1"}) {
    EXPECT_FALSE(check_symlink("l", target).has_value()) << target;
  }
  EXPECT_FALSE(check_symlink("a/l", "../../x").has_value());
  EXPECT_FALSE(check_symlink("l", std::string(2000, 'a')).has_value());
}

}  // namespace
}  // namespace locki::mirror
