#include "sys/process.h"

#include <gtest/gtest.h>

#include "sys/file.h"
#include "sys/socket.h"

namespace locki::sys {
namespace {

ProcessSpec shell(std::string script) { return {.program = "/bin/sh", .args = {"-c", std::move(script)}, .environment = clean_environment()}; }

TEST(Process, FeedsInputAndCollectsBothOutputs) {
  const std::string big(300'000, 'x');
  const auto output = run(shell("cat; echo warn >&2; exit 3"), big);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, big);
  EXPECT_EQ(output->err, "warn\n");
  EXPECT_EQ(output->exit.status, 3);
}

TEST(Process, AMissingProgramIsAnErrorAtTheSpawn) {
  const auto child = spawn({.program = "/nonexistent/program"});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::kNotFound);
}

TEST(Process, TheChildHasOnlyItsOwnDescriptorsAndEnvironment) {
  ::setenv("LOCKI_TEST_LEAK", "1", 1);
  const auto output = run(shell("ls /proc/self/fd | tr '\\n' ' '; env | grep -c LEAK"));
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "0 1 2 3 0\n");  // 3 is ls reading the directory
}

TEST(Process, TimesOut) {
  const auto output = run(shell("sleep 60"), {}, {.timeout = std::chrono::milliseconds(100)});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind(), ErrorKind::kTimeout);
}

TEST(Process, ErrorsCarryCommandStatusAndStderr) {
  const auto output = run_ok(shell("echo broken >&2; exit 7"));
  ASSERT_FALSE(output);
  EXPECT_NE(output.error().message().find("status 7"), std::string::npos);
  EXPECT_NE(output.error().message().find("broken"), std::string::npos);
}

TEST(File, AtomicWriteAndSecretModes) {
  auto dir = TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  ASSERT_TRUE(write_file(dir->path() / "a", "one"));
  ASSERT_TRUE(write_file(dir->path() / "a", "two"));
  EXPECT_EQ(*read_file(dir->path() / "a"), "two");
  ASSERT_TRUE(create_secret(dir->path() / "k", "s"));
  EXPECT_EQ(fs::status(dir->path() / "k").permissions(), fs::perms(0600));
  EXPECT_EQ(create_secret(dir->path() / "k", "t").error().kind(), ErrorKind::kExists);
  EXPECT_EQ(read_file(dir->path() / "none").error().kind(), ErrorKind::kNotFound);
}

TEST(File, RemoveTreeDoesNotFollowLinks) {
  auto dir = TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  fs::create_directories(dir->path() / "victim");
  ASSERT_TRUE(write_file(dir->path() / "victim/file", "x"));
  fs::create_directories(dir->path() / "tree/deep");
  fs::create_directory_symlink("../../victim", dir->path() / "tree/deep/link");
  fs::permissions(dir->path() / "tree/deep", fs::perms(0500));
  ASSERT_TRUE(remove_tree(dir->path() / "tree"));
  EXPECT_FALSE(fs::exists(dir->path() / "tree"));
  EXPECT_TRUE(fs::exists(dir->path() / "victim/file"));
}

TEST(File, LocksExclude) {
  auto dir = TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  const auto held = FileLock::acquire(dir->path() / "lock");
  ASSERT_TRUE(held);
  EXPECT_EQ(FileLock::try_acquire(dir->path() / "lock").error().kind(), ErrorKind::kExists);
}

TEST(Socket, PassesDescriptors) {
  auto pair = make_socketpair();
  auto pipe = make_pipe();
  ASSERT_TRUE(pair && pipe);
  ASSERT_TRUE(send_message(pair->a.get(), "take", {pipe->write.get()}));
  auto message = receive_message(pair->b.get(), 100);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->data, "take");
  ASSERT_EQ(message->fds.size(), 1u);
  ASSERT_TRUE(write_all(message->fds[0].get(), "hi"));
  message->fds.clear();
  pipe->write.reset();
  EXPECT_EQ(*read_all(pipe->read.get(), 10), "hi");
}

}  // namespace
}  // namespace locki::sys
