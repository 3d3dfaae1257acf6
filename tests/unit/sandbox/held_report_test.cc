#include "sandbox/held_report.h"

#include <gtest/gtest.h>

#include <fstream>

#include "mirror/history.h"
#include "sandbox/shown_branch.h"
#include "sys/file.h"

namespace locki::sandbox {
namespace {

namespace fs = std::filesystem;
using mirror::Entry;
using mirror::HeldFile;

class HeldReport : public ::testing::Test {
 protected:
  HeldReport() : directory_(std::move(*sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-held"))), git_(*git::find_git(directory_.path().string())) {
    fs::create_directory(worktree());
  }
  fs::path worktree() const { return directory_.path() / "worktree"; }
  HeldFile held(const std::string& path, const std::string& content, bool executable = false) {
    auto history = *mirror::History::open(git_, directory_.path() / "history");
    const Entry entry = Entry::file(content.size(), hash_of(content), executable);
    return {path, entry, "why", *history.keep_held({{path, entry, content}})};
  }
  json::array report(const std::vector<HeldFile>& files) {
    auto out = report_held(files, directory_.path(), worktree(), git_);
    EXPECT_TRUE(out) << (out ? "" : out.error().describe());
    return out ? *out : json::array{};
  }

  sys::TemporaryDirectory directory_;
  git::Program git_;
};

TEST_F(HeldReport, ShowsTheDifferenceToTheHost) {
  std::ofstream(worktree() / ".envrc") << "export A=1\n";
  const auto list = report({held(".envrc", "export A=2\n"), held("CLAUDE.md", "obey\n", true)});
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(json::string_or(list[0].get_object(), "diff"), "@@ -1 +1 @@\n-export A=1\n+export A=2\n");
  EXPECT_FALSE(json::bool_or(list[0].get_object(), "new"));
  EXPECT_EQ(json::string_or(list[1].get_object(), "diff"), "@@ -0,0 +1 @@\n+obey\n");
  EXPECT_TRUE(json::bool_or(list[1].get_object(), "new"));
  EXPECT_TRUE(json::bool_or(list[1].get_object(), "executable"));
}

TEST_F(HeldReport, IsTextWhateverTheFileHolds) {
  for (const std::string& content : {std::string("caf\xe9\n\x1b[2J\n"), std::string("\0\1\2", 3), std::string(200'000, 'x') + "\xc3\xa4\n", std::string("no end")}) {
    const auto list = report({held(".envrc", content)});
    ASSERT_EQ(list.size(), 1u);
    EXPECT_TRUE(is_utf8(json::string_or(list[0].get_object(), "diff")));
    EXPECT_TRUE(json::parse(json::serialize(list)));
    EXPECT_NE(json::string_or(list[0].get_object(), "diff"), "");
  }
  const auto link = report({{".vscode", Entry::symlink("conf"), "why", ""}});
  EXPECT_EQ(json::string_or(link[0].get_object(), "diff"), "@@ -0,0 +1 @@\n+symlink to conf\n");
  const auto large = report({{".env", Entry::file(5'000'000, hash_of("?")), "why", ""}});
  EXPECT_NE(json::string_or(large[0].get_object(), "note"), "");
}

TEST_F(HeldReport, LetsInOnlyWhatWasShown) {
  const std::vector<HeldFile> files{held(".envrc", "a"), held(".vscode/tasks.json", "b"), held(".vscode/settings.json", "c")};
  EXPECT_EQ(choose_held(files, {}, {".envrc"}).error().kind(), ErrorKind::kConflict);
  ASSERT_TRUE(save_shown(directory_.path(), files));
  const auto shown = load_shown(directory_.path());
  EXPECT_EQ(choose_held(files, shown, {".envrc"})->size(), 1u);
  EXPECT_EQ(choose_held(files, shown, {".vscode/*", ".vscode/tasks.json"})->size(), 2u);
  EXPECT_EQ(choose_held(files, shown, {"other"}).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(choose_held({held(".envrc", "changed")}, shown, {".envrc"}).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(choose_held({held(".envrc", "a", true)}, shown, {"*"}).error().kind(), ErrorKind::kConflict) << "the same, but executable";
}

TEST_F(HeldReport, RemembersWhatWasLetIn) {
  EXPECT_TRUE(load_accepted(directory_.path()).empty());
  const HeldFile file = held(".envrc", "a");
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(save_accepted(directory_.path(), {held(".envrc", std::to_string(i)), file}));
  const auto accepted = load_accepted(directory_.path());
  EXPECT_EQ(accepted.at(".envrc").back(), file.content_id());
  EXPECT_EQ(accepted.at(".envrc").size(), 16u);
  ASSERT_TRUE(sys::write_file(directory_.path() / "accepted.json", "[1"));
  EXPECT_TRUE(load_accepted(directory_.path()).empty());
}

TEST_F(HeldReport, RemembersWhichStatesOfABranchWereShown) {
  EXPECT_FALSE(was_shown(directory_.path(), "tip base"));
  ASSERT_TRUE(note_shown(directory_.path(), "tip base"));
  EXPECT_TRUE(was_shown(directory_.path(), "tip base"));
  EXPECT_FALSE(was_shown(directory_.path(), "tip other"));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(note_shown(directory_.path(), std::to_string(i)));
  EXPECT_FALSE(was_shown(directory_.path(), "tip base"));
}

}  // namespace
}  // namespace locki::sandbox
