#include "vm/qemu/saved_state.h"

#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::vm {
namespace {

namespace fs = std::filesystem;

class Saved : public testing::Test {
 protected:
  void suspend(bool on_disk = false) {
    auto image = saved_.create();
    ASSERT_TRUE(image) << image.error().describe();
    ASSERT_TRUE(sys::write_all(image->get(), std::string("memory")));
    ASSERT_TRUE(saved_.keep({.fits = "f", .label = "l", .boot_id = "this boot", .on_disk = on_disk, .bytes = 6}));
  }
  bool there(const char* name) const { return fs::exists(dir_.path() / name); }

  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  SavedStates saved_{dir_.path()};
};

TEST_F(Saved, MovesAwayAndIsValidOnlyWhenKeptAgain) {
  const auto elsewhere = dir_.path() / "golden";
  ASSERT_TRUE(sys::make_directories(elsewhere));
  SavedStates golden(elsewhere);
  suspend();
  ASSERT_TRUE(saved_.move_to(golden));
  EXPECT_FALSE(*saved_.find("this boot"));
  EXPECT_FALSE(*golden.find("this boot"));
  ASSERT_TRUE(golden.keep({.fits = "g", .label = "l", .boot_id = "this boot", .on_disk = false, .bytes = 6}));
  EXPECT_EQ((*golden.find("this boot"))->fits, "g");
  EXPECT_EQ(*sys::read_all(golden.image_file()->get(), 100), "memory");
  EXPECT_TRUE(*golden.find("this boot"));  // looked at, not taken
  EXPECT_FALSE(saved_.move_to(golden));    // nothing to move
}

TEST_F(Saved, IsFoundAndTakenOnce) {
  EXPECT_FALSE(*saved_.find("this boot"));
  suspend();
  const auto found = saved_.find("this boot");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->fits, "f");
  EXPECT_EQ((*found)->label, "l");
  EXPECT_EQ((*found)->bytes, 6u);
  auto image = saved_.take();
  ASSERT_TRUE(image);
  EXPECT_EQ(*sys::read_all(image->get(), 100), "memory");
  EXPECT_FALSE(*saved_.find("this boot"));
  EXPECT_FALSE(there("suspended.ram"));
  EXPECT_FALSE(saved_.take());
}

TEST_F(Saved, AHostThatWentDownBeforeItWasWrittenHasLostIt) {
  suspend();
  std::string why;
  EXPECT_FALSE(*saved_.find("the next boot", &why));
  EXPECT_NE(why, "");
  EXPECT_FALSE(there("suspended.ram"));
}

TEST_F(Saved, OnceOnTheDiskItOutlivesTheHost) {
  suspend();
  const auto image = saved_.image_file();
  ASSERT_TRUE(image);
  ASSERT_TRUE(saved_.settled(image->get()));
  EXPECT_TRUE(*saved_.find("the next boot"));
}

TEST_F(Saved, WhatWasWaitedForMustStillBeTheOne) {
  suspend();
  const auto old = saved_.image_file();
  ASSERT_TRUE(old);
  suspend();
  ASSERT_TRUE(saved_.settled(old->get()));
  EXPECT_FALSE((*saved_.find("this boot"))->on_disk);
}

TEST_F(Saved, KilledAnywhereItIsWholeOrNotThere) {
  // After create(), before keep(): an image without a description is nothing.
  ASSERT_TRUE(saved_.create());
  EXPECT_FALSE(*saved_.find("this boot"));
  // A description that broke off, and one whose image is gone.
  suspend();
  ASSERT_TRUE(sys::write_file(dir_.path() / "suspended.json", "{\"version\":1,\"fits\""));
  std::string why;
  EXPECT_FALSE(*saved_.find("this boot", &why));
  EXPECT_NE(why, "");
  EXPECT_FALSE(there("suspended.json"));
  suspend();
  fs::remove(dir_.path() / "suspended.ram");
  EXPECT_FALSE(*saved_.find("this boot", &why));
  EXPECT_FALSE(there("suspended.json"));
  // Another version's.
  suspend();
  ASSERT_TRUE(sys::write_file(dir_.path() / "suspended.json", R"({"version":2})"));
  EXPECT_FALSE(*saved_.find("this boot"));
}

}  // namespace
}  // namespace locki::vm
