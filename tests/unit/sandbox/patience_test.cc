#include <gtest/gtest.h>

#include "sandbox/provision.h"

namespace locki::sandbox {
namespace {

TEST(Patience, TriesAgainWhatMayPass) {
  int calls = 0;
  const auto done = patiently("a test", [&]() -> Result<> {
    if (++calls == 1) return fail(ErrorKind::kFailed, "Incus: Failed to create instance delete operation: Instance is busy running a \"create\" operation");
    return {};
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(may_pass(Error(ErrorKind::kFailed, "Incus: context deadline exceeded")));
}

TEST(Patience, GivesUpAtOnceWhatWillNot) {
  int calls = 0;
  const auto done = patiently("a test", [&]() -> Result<> {
    ++calls;
    return fail(ErrorKind::kNoSpace, "Incus: disk quota exceeded");
  });
  EXPECT_FALSE(done);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace locki::sandbox
