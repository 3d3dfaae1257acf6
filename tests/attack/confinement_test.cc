// Attack: somebody has taken over the mirror's worker (or the git that it starts) and does what the worker never would. Each case runs in a child that
// is confined as the worker is. (docs/threats.md, "A worker that was taken over")
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "mirror/confine.h"
#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class ConfinedWorker : public ::testing::Test {
 protected:
  void SetUp() override {
    if (sys::landlock_version() < sys::kLeastLandlock) GTEST_SKIP() << "this kernel has no Landlock";
    write(pair_.path("home/.ssh/id_ed25519"), "secret");
    write(pair_.path("home/.config/other/token"), "secret");
    write(pair_.path("repo/.git/hooks/pre-commit"), "#!/bin/sh\n");
    settings_ = {.sandbox = "test", .instance = "one", .worktree = pair_.host().string(), .inside = "/inside", .state = pair_.path("state").string(),
                 .branch = "topic", .git = git::find_git()->git, .home = pair_.path("home").string()};
  }
  // Runs `attempt` in a confined child; gives the errno that it returns, 0 when it got what it wanted, -1 when it could not be confined.
  template <class Attempt>
  int confined(const Attempt& attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto done = confine(settings_);
      if (!done || !done->files) ::_exit(255);
      errno = 0;
      ::_exit(attempt() ? 0 : errno == 0 ? 254 : errno);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int opened(const fs::path& path, int flags) {
    return confined([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600) >= 0; });
  }

  MirrorPair pair_{false};
  StartSettings settings_;
};

TEST_F(ConfinedWorker, ReadsNothingOfTheHome) {
  EXPECT_EQ(opened(pair_.path("home/.ssh/id_ed25519"), O_RDONLY), EACCES);
  EXPECT_EQ(opened(pair_.path("home/.config/other/token"), O_RDONLY), EACCES);
  EXPECT_EQ(opened("/etc/shadow", O_RDONLY), EACCES);
  EXPECT_EQ(opened("/proc/1/environ", O_RDONLY), EACCES);
  EXPECT_EQ(confined([&] { return ::chdir("/") == 0 && ::open("etc/hostname", O_RDONLY) >= 0; }), EACCES);
  EXPECT_EQ(opened(pair_.path("home/.gitconfig"), O_RDONLY), 0) << "git needs it";
}

TEST_F(ConfinedWorker, WritesOnlyWhereItWorks) {
  EXPECT_EQ(opened(pair_.host() / "new", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(opened(pair_.path("state/new"), O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(opened(pair_.path("repo/.git/objects/new"), O_WRONLY | O_CREAT), 0);
  for (const char* path : {"repo/.git/config", "repo/.git/hooks/pre-commit", "repo/.git/HEAD", "repo/README", "home/.gitconfig"})
    EXPECT_EQ(opened(pair_.path(path), O_WRONLY), EACCES) << path;
  for (const char* path : {"repo/.git/hooks/post-checkout", "repo/evil", "home/.bashrc", "elsewhere"})
    EXPECT_EQ(opened(pair_.path(path), O_WRONLY | O_CREAT), EACCES) << path;
  EXPECT_EQ(confined([&] { return ::rename((pair_.host() / "README").c_str(), pair_.path("home/README").c_str()) == 0; }), EACCES);
  EXPECT_EQ(confined([&] { return ::link(pair_.path("home/.ssh/id_ed25519").c_str(), (pair_.host() / "link").c_str()) == 0; }), EXDEV);
}

// A symlink in the worktree gives no access to what it leads to.
TEST_F(ConfinedWorker, SymlinksDoNotLeadOut) {
  fs::create_symlink(pair_.path("home/.ssh"), pair_.host() / "way");
  EXPECT_EQ(opened(pair_.host() / "way/id_ed25519", O_RDONLY), EACCES);
}

TEST_F(ConfinedWorker, RunsNothingThatTheSandboxWrote) {
  write(pair_.host() / "program", "#!/bin/sh\nexit 0\n");
  fs::permissions(pair_.host() / "program", fs::perms::all);
  const std::string program = (pair_.host() / "program").string();
  EXPECT_EQ(confined([&] { return ::execl(program.c_str(), program.c_str(), nullptr) == 0; }), EACCES);
}

TEST_F(ConfinedWorker, HasNoNetwork) {
  for (const int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK})
    EXPECT_EQ(confined([&] { return ::socket(family, SOCK_STREAM, 0) >= 0; }), EACCES) << family;
  // A descriptor from elsewhere helps no further.
  const int open = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(9)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(confined([&] { return ::connect(open, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0; }), EACCES);
  EXPECT_EQ(confined([&] { return ::bind(open, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0; }), EACCES);
  EXPECT_EQ(confined([&] { return ::sendto(open, "x", 1, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 1; }), EPERM);
  ::close(open);
  EXPECT_EQ(confined([&] { return ::syscall(SYS_io_uring_setup, 8, nullptr) >= 0; }), EPERM);
}

TEST_F(ConfinedWorker, TouchesNoOtherProcess) {
  const pid_t parent = ::getpid();
#ifndef __SANITIZE_ADDRESS__
  EXPECT_EQ(confined([&] { return ::ptrace(PTRACE_ATTACH, parent, nullptr, nullptr) == 0; }), EPERM);
#endif
  if (sys::landlock_version() >= 6) {
    EXPECT_EQ(confined([&] { return ::kill(parent, 0) == 0; }), EPERM);
  }
  EXPECT_EQ(confined([&] { return ::open(("/proc/" + std::to_string(parent) + "/mem").c_str(), O_RDWR) >= 0; }), EACCES);
}

TEST_F(ConfinedWorker, ChangesNothingOfTheSystem) {
  EXPECT_EQ(confined([&] { return ::mount("none", pair_.host().c_str(), "tmpfs", 0, nullptr) == 0; }), EPERM);
  EXPECT_EQ(confined([&] { return ::syscall(SYS_unshare, 0x10000000) == 0; }), EPERM);
  EXPECT_EQ(confined([&] { return ::chroot("/") == 0; }), EPERM);
  EXPECT_EQ(confined([&] { return ::syscall(SYS_keyctl, 0, -3, 0) >= 0; }), EPERM);
  EXPECT_EQ(confined([&] { return ::syscall(SYS_bpf, 0, nullptr, 0) >= 0; }), EPERM);
  EXPECT_EQ(confined([&] { return ::syscall(SYS_userfaultfd, 0) >= 0; }), EPERM);
  EXPECT_EQ(confined([&] { return ::mknod((pair_.host() / "device").c_str(), S_IFCHR | 0600, 0) == 0; }), EPERM);
}

// What git starts is held the same way.
TEST_F(ConfinedWorker, GitIsConfinedToo) {
  const auto via_git = [&](std::vector<std::string> args) {
    return confined([&] {
      const auto out = sys::run(git::command({settings_.git, settings_.home}, git::Config::kUser, pair_.host(), std::move(args)));
      errno = EXFULL;
      return out && out->exit.ok();
    });
  };
  EXPECT_EQ(via_git({"status", "--porcelain"}), 0);
  EXPECT_EQ(via_git({"hash-object", "--no-filters", pair_.path("home/.ssh/id_ed25519").string()}), EXFULL);
  EXPECT_EQ(via_git({"config", "--file", pair_.path("repo/.git/config").string(), "core.fsmonitor", "x"}), EXFULL);
}

}  // namespace
}  // namespace locki::mirror::test
