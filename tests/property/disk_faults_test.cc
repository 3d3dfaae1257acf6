// A disk that is full, or that became read-only, on either side and under the mirror's own state: each side is a small file system of its own, in a mount namespace of
// the test's. Nothing is lost, nothing is there by half, the reason is said, and once there is room again both sides agree. A program of its own, because it changes
// its namespace.
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "mirror/staging.h"
#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

constexpr std::size_t kMiB = 1 << 20;

// As an ordinary user in a user namespace, too, with its own ids kept. Says why it cannot be done here.
std::string enter_mount_namespace() {
  const auto uid = std::to_string(::getuid()), gid = std::to_string(::getgid());
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return std::string("no mount namespace can be made here: ") + std::strerror(errno);
    write("/proc/self/setgroups", "deny");
    write("/proc/self/uid_map", uid + " " + uid + " 1");
    write("/proc/self/gid_map", gid + " " + gid + " 1");
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return std::string("mounts cannot be made private: ") + std::strerror(errno);
  return "";
}

// A file system of that size in the place of a directory, with what was in it.
class SmallDisk {
 public:
  SmallDisk(fs::path at, const std::string& size) : at_(std::move(at)), before_(at_.native() + ".before") {
    fs::create_directories(at_);
    fs::rename(at_, before_);
    fs::create_directory(at_);
    EXPECT_EQ(::mount("none", at_.c_str(), "tmpfs", 0, ("mode=0755,size=" + size).c_str()), 0) << std::strerror(errno);
    fs::copy(before_, at_, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
  ~SmallDisk() { (void)::umount2(at_.c_str(), MNT_DETACH); }
  void change(const std::string& options, unsigned long flags = 0) {
    EXPECT_EQ(::mount("none", at_.c_str(), "tmpfs", MS_REMOUNT | flags, options.c_str()), 0) << std::strerror(errno);
  }

 private:
  fs::path at_, before_;
};

// Content that no compression makes small.
std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size, '\0');
  for (char& c : text) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    c = static_cast<char>(seed >> 33);
  }
  return text;
}

class Disks : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    obstacle_ = enter_mount_namespace();
    ::signal(SIGPIPE, SIG_IGN);  // a worker that has ended is an answer, too
  }
  void SetUp() override {
    if (!obstacle_.empty()) GTEST_SKIP() << obstacle_;
  }
  // Files of 1 MiB each; gives them by name.
  std::map<std::string, std::string> write_many(const fs::path& top, int count, std::uint64_t seed) {
    std::map<std::string, std::string> files;
    for (int i = 0; i < count; ++i) {
      const std::string name = "big" + std::to_string(i);
      files[name] = noise(kMiB, seed + static_cast<std::uint64_t>(i));
      write(top / name, files[name]);
    }
    return files;
  }
  // Each is there as it should be, or not at all; and nothing else is.
  void expect_whole(const fs::path& top, const std::map<std::string, std::string>& files, std::size_t least_missing) {
    std::size_t missing = 0;
    for (const auto& [name, content] : files) {
      if (!fs::exists(top / name)) ++missing;
      else EXPECT_TRUE(read(top / name) == content) << name << " is there by half";
    }
    EXPECT_GE(missing, least_missing) << "the disk was not full";
    for (const auto& [name, what] : listing(top)) EXPECT_FALSE(name.starts_with(".locki-tmp")) << name;
  }
  // A sync says that something is in the way, and an event why.
  void expect_stuck(const std::string& why) {
    EXPECT_TRUE(pair_.sync());
    EXPECT_FALSE(pair_.stuck.empty());
    const auto blocked = pair_.event("blocked");
    ASSERT_TRUE(blocked);
    EXPECT_NE(blocked->text.find(why), std::string::npos) << blocked->text;
  }
  // At the first sync after there is room again.
  void expect_agreement() {
    EXPECT_TRUE(pair_.sync());
    EXPECT_EQ(pair_.stuck, std::vector<std::string>{});
    expect_same();
  }
  void expect_same() { EXPECT_EQ(listing(pair_.host()), listing(pair_.inside())); }

  MirrorPair pair_;
  static inline std::string obstacle_;
};

TEST_F(Disks, TheHostsIsFull) {
  SmallDisk disk(pair_.host(), "5m");
  pair_.start();
  write(pair_.host() / "mine", noise(kMiB, 1));
  ASSERT_TRUE(pair_.sync());
  const auto mine = read(pair_.host() / "mine");
  const auto files = write_many(pair_.inside(), 8, 10);
  write(pair_.inside() / "mine", noise(kMiB + 1, 2));
  expect_stuck("No space left");
  expect_whole(pair_.host(), files, 4);
  EXPECT_TRUE(read(pair_.host() / "mine") == mine || read(pair_.host() / "mine") == read(pair_.inside() / "mine"));
  // What the user deletes goes on its way all the same.
  fs::remove(pair_.host() / ".gitignore");
  (void)pair_.sync();
  EXPECT_FALSE(fs::exists(pair_.inside() / ".gitignore"));
  disk.change("size=64m");
  expect_agreement();
  expect_whole(pair_.host(), files, 0);
  EXPECT_EQ(pair_.stop().status, 0);
}

TEST_F(Disks, TheSandboxsIsFull) {
  SmallDisk disk(pair_.inside(), "5m");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  const auto files = write_many(pair_.host(), 8, 30);
  expect_stuck("No space left");
  expect_whole(pair_.inside(), files, 4);
  expect_whole(pair_.host(), files, 0);
  disk.change("size=64m");
  expect_agreement();
  EXPECT_EQ(pair_.stop().status, 0);
}

// Before anything of the user's is overwritten it must be in the history, and there is no room for it.
TEST_F(Disks, TheHistorysIsFull) {
  SmallDisk disk(pair_.path("state"), "3m");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  const auto users = write_many(pair_.host(), 4, 50);
  (void)pair_.sync(seconds(60));
  const auto agents = noise(kMiB, 70);
  write(pair_.inside() / "big3", agents);
  EXPECT_FALSE(pair_.sync(seconds(60)) && pair_.stuck.empty());
  expect_whole(pair_.host(), users, 0);
  disk.change("size=64m");
  // The worker may have ended for it; the daemon starts the next one.
  (void)pair_.stop();
  pair_.start();
  expect_agreement();
  const auto now = read(pair_.host() / "big3");
  EXPECT_TRUE(now == agents || now == users.at("big3"));
  EXPECT_TRUE(pair_.history().find("big3", hash_of(users.at("big3")), 2 * kMiB).has_value()) << "the user's version is in no history";
  EXPECT_EQ(pair_.stop().status, 0);
}

TEST_F(Disks, TheHostsBecomesReadOnly) {
  SmallDisk disk(pair_.host(), "16m");
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  disk.change("size=16m", MS_RDONLY);
  write(pair_.inside() / "README", "the agent's\n");
  write(pair_.inside() / "new", "the agent's, too\n");
  expect_stuck("Read-only");
  EXPECT_EQ(read(pair_.host() / "README"), "one\ntwo\nthree\nfour\nfive\n");
  disk.change("size=16m");
  expect_agreement();
  EXPECT_EQ(read(pair_.host() / "README"), "the agent's\n");
  EXPECT_EQ(pair_.stop().status, 0);
}

// Neither the worker's state nor the repository is in the worktree's file system: what is half done lies beside the worktree, where the worker, once it is confined,
// can make nothing.
TEST_F(Disks, TheWorktreeIsAloneOnItsOwn) {
  SmallDisk repository(pair_.path("repo"), "64m"), state(pair_.path("state"), "64m");
  const fs::path staging = staging_beside(pair_.host());
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  write(pair_.inside() / "README", "the agent's\n");
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_TRUE(fs::exists(staging) && fs::is_empty(staging));
  EXPECT_TRUE(!fs::exists(pair_.path("state/staging")) || fs::is_empty(pair_.path("state/staging")));
  pair_.kill_worker();
  // Killed while what was there lies in it: the next one keeps that, on another file system.
  write(pair_.inside() / "README", "the agent's second\n");
  pair_.fault = "tree.exchanged";
  pair_.start();
  EXPECT_FALSE(pair_.sync());
  pair_.kill_worker();
  EXPECT_FALSE(fs::is_empty(staging));
  pair_.fault.clear();
  pair_.start();
  ASSERT_TRUE(pair_.sync());
  expect_same();
  EXPECT_TRUE(fs::is_empty(staging));
  ASSERT_TRUE(fs::exists(pair_.path("state/saved")));
  for (const auto& item : fs::directory_iterator(pair_.path("state/saved"))) EXPECT_EQ(read(item.path()), "the agent's\n");
  EXPECT_EQ(pair_.stop().status, 0);
  // As the daemon does.
  remove_staging_beside(pair_.host());
  EXPECT_FALSE(fs::exists(staging));
}

}  // namespace
}  // namespace locki::mirror::test
