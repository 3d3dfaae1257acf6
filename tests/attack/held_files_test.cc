// Attack: the agent writes what an editor, a shell, git or another agent on the host would run by itself. It stays at the door until the
// user lets exactly that content in; nothing else is delayed by it, and nothing is lost. (docs/threats.md, 20 to 29)
#include <gtest/gtest.h>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

constexpr const char* kTasks = R"({"tasks":[{"runOn":"folderOpen","command":"touch canary"}]})";

class HeldFiles : public ::testing::Test {
 protected:
  void SetUp() override { pair_.start(); }
  void inside(const std::string& path, std::string_view content) { write(pair_.inside() / path, content); }
  bool on_host(const std::string& path) const { return fs::exists(fs::symlink_status(pair_.host() / path)); }
  void sync() { ASSERT_TRUE(pair_.sync()); }
  bool accept(const std::string& path) { return pair_.accept({{path, pair_.held()[path].content_id()}}); }
  std::string host_status() { return pair_.git(pair_.host(), {"status", "--porcelain"}); }

  MirrorPair pair_;
};

TEST_F(HeldFiles, AreShownAndComeWhenLetIn) {
  sync();
  inside(".vscode/tasks.json", kTasks);
  inside("src/main.cc", "int main() {}\n");
  sync();
  EXPECT_FALSE(on_host(".vscode"));
  EXPECT_TRUE(on_host("src/main.cc"));
  const auto held = pair_.held();
  ASSERT_EQ(held.size(), 1u);
  const HeldFile& file = held.at(".vscode/tasks.json");
  EXPECT_NE(file.why.find("VS Code"), std::string::npos);
  EXPECT_EQ(*pair_.history().read(file.version, file.path, 1 << 20), kTasks);

  EXPECT_TRUE(accept(file.path));
  sync();
  EXPECT_EQ(read(pair_.host() / ".vscode/tasks.json"), kTasks);
  EXPECT_TRUE(pair_.held().empty());
}

TEST_F(HeldFiles, ComeOnlyAsTheyWereShown) {
  sync();
  inside(".envrc", "export A=1\n");
  sync();
  const std::string shown = pair_.held()[".envrc"].content_id();
  inside(".envrc", "touch canary\n");
  sync();
  EXPECT_FALSE(pair_.accept({{".envrc", shown}}));
  sync();
  EXPECT_FALSE(on_host(".envrc"));
  // What was let in says nothing about what comes after it.
  EXPECT_TRUE(accept(".envrc"));
  sync();
  inside(".envrc", "touch canary2\n");
  sync();
  EXPECT_EQ(read(pair_.host() / ".envrc"), "touch canary\n");
  EXPECT_EQ(pair_.held().size(), 1u);
}

}  // namespace
}  // namespace locki::mirror::test
