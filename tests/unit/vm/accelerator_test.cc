#include "vm/qemu/accelerator.h"

#include <gtest/gtest.h>

#include "sys/file.h"

namespace locki::vm {
namespace {

class AcceleratorTest : public testing::Test {
 protected:
  Result<AcceleratorFound> choose(AcceleratorChoice choice, const std::string& reason, std::string_view key = "key") {
    return choose_accelerator(choice, dir_.path() / "cache", key,
                              [&]() -> Result<std::string> { return ++boots_, reason; },
                              [&](const ProgressEvent& event) { warnings_ += event.kind == ProgressEvent::Kind::kWarning; });
  }
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  int boots_ = 0, warnings_ = 0;
};

TEST_F(AcceleratorTest, ProbesOnceAndRemembers) {
  EXPECT_EQ(choose(AcceleratorChoice::kAuto, "")->accelerator, Accelerator::kKvm);
  EXPECT_EQ(choose(AcceleratorChoice::kAuto, "broken since")->accelerator, Accelerator::kKvm);
  EXPECT_EQ(boots_, 1);
  EXPECT_EQ(choose(AcceleratorChoice::kAuto, "other kernel", "other")->accelerator, Accelerator::kTcg);
  EXPECT_EQ(boots_, 2);
}

TEST_F(AcceleratorTest, FallsBackAndSaysSoOnce) {
  for (int i = 0; i < 3; ++i) {
    const auto found = choose(AcceleratorChoice::kAuto, "it hung");
    EXPECT_EQ(found->accelerator, Accelerator::kTcg);
    EXPECT_EQ(found->note, "it hung");
  }
  EXPECT_EQ(boots_, 1);
  EXPECT_EQ(warnings_, 1);
}

TEST_F(AcceleratorTest, TheConfigDecides) {
  EXPECT_EQ(choose(AcceleratorChoice::kTcg, "")->accelerator, Accelerator::kTcg);
  EXPECT_EQ(boots_, 0);
  const auto refused = choose(AcceleratorChoice::kKvm, "it hung");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("it hung"), std::string::npos);
  EXPECT_FALSE(refused.error().hint().empty());
  EXPECT_EQ(choose(AcceleratorChoice::kKvm, "")->accelerator, Accelerator::kKvm) << "a demand is probed again";
}

TEST_F(AcceleratorTest, ADamagedOrOldAnswerIsFoundAnew) {
  ASSERT_TRUE(sys::write_file(dir_.path() / "cache", "{\"key\": \"key\", \"kvm\": tr"));
  EXPECT_EQ(choose(AcceleratorChoice::kAuto, "")->accelerator, Accelerator::kKvm);
  ASSERT_TRUE(sys::write_file(dir_.path() / "cache", R"({"key": "key", "kvm": false, "reason": "old", "time": 1000})"));
  EXPECT_EQ(choose(AcceleratorChoice::kAuto, "")->accelerator, Accelerator::kKvm);
  EXPECT_EQ(boots_, 2);
}

TEST(AcceleratorKey, DependsOnTheVmm) {
  EXPECT_EQ(accelerator_key("a"), accelerator_key("a"));
  EXPECT_NE(accelerator_key("a"), accelerator_key("b"));
}

TEST(AcceleratorChoice, ReadsTheConfigsWords) {
  EXPECT_EQ(*accelerator_choice_from("kvm"), AcceleratorChoice::kKvm);
  EXPECT_EQ(accelerator_choice_from("KVM").error().kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace locki::vm
