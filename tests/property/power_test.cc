// Both sides on file systems of their own, in images: what an image holds at some moment is what a disk has when the power
// goes. As root, where loop devices can be had; else it says why not.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <random>
#include <thread>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

bool run(std::vector<std::string> words) {
  sys::ProcessSpec spec{.program = words[0], .args = {words.begin() + 1, words.end()}, .environment = sys::clean_environment()};
  const auto done = sys::run(spec, {}, {.timeout = std::chrono::minutes(2)});
  if (done && done->exit.ok()) return true;
  std::fprintf(stderr, "%s: %s\n", words[0].c_str(), done ? done->err.c_str() : done.error().describe().c_str());
  return false;
}

// An ext4 file system in a file, mounted.
class Disk {
 public:
  explicit Disk(fs::path directory) : image_(directory / "image"), at_(directory / "at") {
    fs::create_directories(at_);
    std::ofstream(image_).close();
    fs::resize_file(image_, 200 << 20);
    usable_ = run({"/usr/sbin/mkfs.ext4", "-q", "-F", image_.string()}) && mount();
  }
  ~Disk() { unmount(); }
  bool usable() const { return usable_; }
  const fs::path& at() const { return at_; }

  // What the disk has now, whatever the kernel still holds in memory.
  void cut() { ASSERT_TRUE(run({"/bin/cp", "--sparse=always", image_.string(), image_.string() + ".cut"})); }
  // The power goes: what was cut is what there is.
  void fall_back() {
    unmount();
    fs::rename(image_.string() + ".cut", image_);
    ASSERT_TRUE(mount());
  }

 private:
  bool mount() {
    // Nothing is written by itself: only what somebody flushes survives.
    mounted_ = run({"/bin/mount", "-o", "loop,commit=300", image_.string(), at_.string()});
    return mounted_;
  }
  void unmount() {
    if (std::exchange(mounted_, false)) (void)::umount2(at_.c_str(), MNT_DETACH);
    // The loop device lets go of the image a moment later.
    for (int i = 0; i < 100 && run_quiet(); ++i) ::usleep(20'000);
  }
  bool run_quiet() const {
    const auto out = sys::run({.program = "/usr/sbin/losetup", .args = {"-j", image_.string()}, .environment = sys::clean_environment()});
    return out && !trim(out->out).empty();
  }

  fs::path image_, at_;
  bool usable_ = false, mounted_ = false;
};

constexpr unsigned kRounds = 12;

class Power : public ::testing::TestWithParam<unsigned> {};

// Work on both sides, the power goes in the middle of it, and both come back with what their disks had: what was agreed is
// on both sides, and what a person saved before the cut is not older than at the last agreement.
TEST_P(Power, WhatWasAgreedIsThere) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount images";
  auto directory = std::move(*sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-power"));
  Disk host(directory.path() / "host"), far(directory.path() / "far");
  if (!host.usable() || !far.usable()) GTEST_SKIP() << "no loop device, or no ext4, on this machine";
  std::mt19937 random(GetParam());
  const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
  {
    MirrorPair pair(true, {host.at(), far.at()});
    pair.host_boot = pair.far_boot = "1";
    for (int i = 0; i < 8; ++i) write(pair.host() / ("d" + std::to_string(i % 3)) / ("f" + std::to_string(i)), "begin " + std::to_string(i));
    pair.commit(pair.host(), "begin");
    pair.clone();
    pair.flush(host.at());  // the user's repository was there before
    pair.start();
    ASSERT_TRUE(pair.sync());
    int number = 0;
    for (unsigned round = 0; round < kRounds; ++round) {
      SCOPED_TRACE("round " + std::to_string(round));
      std::map<fs::path, std::string> agreed;
      std::set<fs::path> removed;
      std::string tip;
      // Each path is worked on by one side in a round: no conflicts here.
      for (unsigned edits = 1 + pick(10); edits > 0; --edits) {
        const unsigned which = pick(8);
        const fs::path name = fs::path("d" + std::to_string(which % 3)) / ("f" + std::to_string(which));
        const fs::path& root = which % 2 == 0 ? pair.host() : pair.inside();
        if (pick(5) == 0) {
          fs::remove(root / name);
          agreed.erase(name), removed.insert(name);
        } else {
          std::string text = (which % 2 == 0 ? "of the user " : "of the agent ") + std::to_string(++number) + "\n";
          for (unsigned line = pick(2000); line > 0; --line) text += "line " + std::to_string(line) + "\n";
          write(root / name, text);
          agreed[name] = text, removed.erase(name);
        }
      }
      if (pick(2) == 0) pair.commit(pair.inside(), "of the agent " + std::to_string(number));
      ASSERT_TRUE(pair.sync());
      tip = pair.git(pair.host(), {"rev-parse", "topic"});
      if (pick(2) == 0) ::usleep(pick(3000) * 1000);
      // A new round has begun when it happens.
      write(pair.inside() / "late", std::to_string(number));
      if (pick(2) == 0) ::usleep(pick(200) * 1000);
      const bool host_as_well = pick(3) != 0;
      if (pick(4) == 0) pair.flush(pick(2) == 0 ? host.at() : far.at());  // as kernels do now and then
      pair.kill_worker();
      if (host_as_well) host.cut();
      far.cut();
      if (host_as_well) host.fall_back();
      far.fall_back();
      pair.far_boot += "+";
      if (host_as_well) pair.host_boot += "+";
      pair.start();
      ASSERT_TRUE(pair.sync());
      EXPECT_EQ(listing(pair.host()), listing(pair.inside()));
      EXPECT_EQ(pair.git(pair.host(), {"rev-parse", "topic"}), pair.git(pair.inside(), {"rev-parse", "topic"}));
      EXPECT_EQ(pair.git(pair.host(), {"merge-base", "topic", tip}), tip) << "a commit that was agreed is gone";
      for (const auto& [name, text] : agreed) EXPECT_EQ(read(pair.host() / name).substr(0, 40), text.substr(0, 40)) << name << (host_as_well ? " (both)" : " (inside)");
      if (!host_as_well) {
        for (const auto& name : removed) EXPECT_FALSE(fs::exists(pair.inside() / name)) << name;
      }
      for (const auto& where : {pair.host(), pair.inside()}) EXPECT_EQ(pair.git(where, {"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
      EXPECT_FALSE(pair.saw("violation"));
      if (::testing::Test::HasFailure()) break;
    }
    EXPECT_EQ(pair.stop().status, 0);
  }
}

// LOCKI_SEEDS=n: n further courses.
unsigned courses() {
  const char* more = ::getenv("LOCKI_SEEDS");
  return 2 + (more != nullptr ? static_cast<unsigned>(parse_u64(more).value_or(0)) : 0);
}
INSTANTIATE_TEST_SUITE_P(Courses, Power, ::testing::Range(1U, 1 + courses()));

}  // namespace
}  // namespace locki::mirror::test
