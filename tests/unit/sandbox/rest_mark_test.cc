#include "sandbox/rest_mark.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "sys/file.h"

namespace locki::sandbox {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

TEST(RestMark, SeesEveryKindOfChange) {
  const std::function<void(const fs::path&)> changes[] = {
      [](const fs::path& at) { ASSERT_TRUE(sys::write_file(at / "new", "")); },
      [](const fs::path& at) { ASSERT_TRUE(sys::write_file(at / "deep/er/file", "other")); },
      [](const fs::path& at) { fs::remove(at / "deep/er/file"); },
      [](const fs::path& at) { fs::rename(at / "deep/er/file", at / "deep/er/renamed"); },
      [](const fs::path& at) { fs::permissions(at / "deep/er/file", fs::perms::owner_exec, fs::perm_options::add); },
      [](const fs::path& at) { fs::create_symlink("x", at / "deep/link"); },
      [](const fs::path& at) { fs::last_write_time(at / "deep/er/file", fs::file_time_type::clock::now() - 100h); },
      [](const fs::path& at) { fs::remove_all(at); },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    auto dir = *sys::TemporaryDirectory::make("/tmp", "locki-test");
    const fs::path at = dir.path() / "worktree";
    ASSERT_TRUE(sys::make_directories(at / "deep/er"));
    ASSERT_TRUE(sys::write_file(at / "deep/er/file", "content"));
    ASSERT_TRUE(sys::write_file(at / ".git", "gitdir: elsewhere"));
    std::this_thread::sleep_for(120ms);
    const auto mark = rest_mark_now();
    std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(unchanged_since(at, mark)) << i;
    ASSERT_TRUE(sys::read_file(at / "deep/er/file"));
    EXPECT_TRUE(unchanged_since(at, mark)) << "reading is no change";
    changes[i](at);
    EXPECT_FALSE(unchanged_since(at, mark)) << i;
  }
}

TEST(RestMark, ATimeThatCannotBeIsNone) {
  auto dir = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  std::this_thread::sleep_for(120ms);
  EXPECT_FALSE(unchanged_since(dir.path(), 0));
  EXPECT_FALSE(unchanged_since(dir.path(), rest_mark_now() + 3'600'000'000'000));  // the clock was set back
  EXPECT_TRUE(unchanged_since(dir.path(), rest_mark_now()));
}

}  // namespace
}  // namespace locki::sandbox
