#include <gtest/gtest.h>

#include "image/builder.h"
#include "sys/file.h"

namespace locki::image {
namespace {

TEST(Mirror, OneLineFormat) {
  const Mirror mirror = mirror_in_list(
      "# deb http://old.example/debian bookworm main\n"
      "deb https://tools.example/apt tool-bookworm main\n"
      "deb [ arch=amd64 signed-by=/k.gpg ] http://mirror.example/debian bookworm main contrib\n"
      "deb-src http://src.example/debian bookworm main\n"
      "deb http://mirror.example/sec bookworm-security main\n");
  EXPECT_EQ(mirror, (Mirror{"http://mirror.example/debian", "http://mirror.example/sec"}));
}

TEST(Mirror, Deb822Format) {
  const Mirror mirror = mirror_in_sources(
      "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
      "Types: deb deb-src\nURIs:\n http://mirror.example/sec\nSuites: bookworm-security\nComponents: main\n\n"
      "Types: deb\nURIs: http://other.example\nSuites: nodistro\nComponents: main\n");
  EXPECT_EQ(mirror, (Mirror{"http://mirror.example/debian", "http://mirror.example/sec"}));
  EXPECT_EQ(mirror_in_sources("Types: deb\nEnabled: no\nURIs: http://m.example\nSuites: trixie\nComponents: main\n"), Mirror{});
}

TEST(Mirror, NoneIsAnErrorThatSaysWhatToDo) {
  auto dir = sys::TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  const auto none = find_mirror("", dir->path());
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().hint().find("mirror ="), std::string::npos);
  EXPECT_EQ(find_mirror("http://m.example/debian", dir->path())->main, "http://m.example/debian");
}

TEST(Recipes, TheShippedOnesLoadAndTheirKeysFollowEveryByte) {
  auto dir = sys::TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  std::filesystem::copy(LOCKI_SOURCE_DIR "/recipes", dir->path() / "r", std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  for (const Kind kind : kAllKinds) {
    const auto before = load_recipe(dir->path() / "r", kind);
    ASSERT_TRUE(before) << before.error().describe();
    EXPECT_FALSE(before->packages.empty());
    const auto again = load_recipe(LOCKI_SOURCE_DIR "/recipes", kind);
    EXPECT_EQ(before->content_key, again->content_key);
    const auto file = dir->path() / "r" / to_string(kind) / "packages";
    ASSERT_TRUE(sys::write_file(file, *sys::read_file(file) + "\n# x\n"));
    EXPECT_NE(load_recipe(dir->path() / "r", kind)->content_key, before->content_key);
  }
  EXPECT_FALSE(load_recipe("/nonexistent", Kind::kVm));
}

TEST(Recipes, TheMirrorAndTheMakerArePartOfTheKey) {
  Recipe recipe;
  const Mirror a{"http://a.example", ""}, b{"http://b.example", ""};
  EXPECT_NE(root_key(recipe, a, ""), root_key(recipe, b, ""));
  EXPECT_NE(root_key(recipe, a, "x"), root_key(recipe, a, "y"));
}

TEST(Commands, MmdebstrapArguments) {
  Recipe recipe;
  recipe.variant = "apt";
  recipe.packages = {"git", "curl"};
  recipe.apt_options = {"APT::Install-Recommends \"false\""};
  recipe.dpkg_options = {"path-exclude=/usr/share/man/*"};
  recipe.hooks = {"echo \"$1\""};
  const std::vector<std::string> expected{"--mode=unshare", "--format=tar", "--architectures=amd64", "--variant=apt", "--include=git,curl",
                                          "--dpkgopt=path-exclude=/usr/share/man/*", "--aptopt=APT::Install-Recommends \"false\";",
                                          "--essential-hook=tar-in \"/c/overlay.tar\" /", "--customize-hook=echo \"$1\"", "trixie", "-",
                                          "deb http://m.example/debian trixie main", "deb http://m.example/debian trixie-updates main",
                                          "deb http://m.example/sec trixie-security main"};
  EXPECT_EQ(mmdebstrap_args(recipe, {"http://m.example/debian", "http://m.example/sec"}, Mode::kUnshare, "amd64", "/c/overlay.tar"), expected);
}

TEST(Commands, FailuresSayWhatToTry) {
  const sys::Exit exit{25, 0};
  EXPECT_EQ(explain_failure("E: write: No space left on device\n", exit).kind(), ErrorKind::kNoSpace);
  EXPECT_EQ(explain_failure("Err:1 Temporary failure resolving 'm.example'\n", exit).kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(explain_failure("E: invalid /etc/subuid\n", exit).kind(), ErrorKind::kPermission);
  const Error other = explain_failure("E: \x1b[2Jodd\n", exit);
  EXPECT_NE(other.message().find("status 25"), std::string::npos);
  EXPECT_EQ(other.message().find('\x1b'), std::string::npos);
  const Error hook = explain_failure("find: 'xz': No such file or directory\n" + std::string(40, '\n') + "E: mmdebstrap failed to run\n", exit);
  EXPECT_NE(hook.message().find("'xz': No such file"), std::string::npos);
}

}  // namespace
}  // namespace locki::image
