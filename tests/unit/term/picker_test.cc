#include "term/picker.h"

#include <gtest/gtest.h>

#include <deque>

namespace locki::term {
namespace {

class ScriptedUi : public PickerUi {
 public:
  explicit ScriptedUi(std::string typed, std::size_t rows = 5) : bytes_(std::move(typed)), rows_(rows) {}
  Result<Key> read_key() override {
    if (auto key = next_key(bytes_, true)) return *key;
    return Key{Key::Kind::kClosed, ""};
  }
  void draw(const PickerFrame& frame) override { last = frame; }
  std::size_t rows() const override { return rows_; }
  PickerFrame last;

 private:
  std::string bytes_;
  std::size_t rows_;
};

const std::vector<PickerItem> kItems{{"fix-login", "running"}, {"my-feature", "stopped"}, {"docs", ""}};

std::optional<std::size_t> picked(const std::string& typed) {
  ScriptedUi ui(typed);
  const auto choice = pick(ui, "Which?", kItems);
  EXPECT_TRUE(choice);
  return *choice;
}

TEST(Picker, EnterTakesTheFirst) { EXPECT_EQ(picked("\r"), 0U); }
TEST(Picker, TypingFilters) { EXPECT_EQ(picked("mf\r"), 1U); }
TEST(Picker, ArrowsMoveAndWrap) {
  EXPECT_EQ(picked("\x1b[B\x1b[B\r"), 2U);
  EXPECT_EQ(picked("\x1bOA\r"), 2U);
  EXPECT_EQ(picked("\x1b[B\x1b[B\x1b[B\r"), 0U);
}
TEST(Picker, EscapeAndCtrlCLeave) {
  EXPECT_EQ(picked("\x1b"), std::nullopt);
  EXPECT_EQ(picked("doc\x03"), std::nullopt);
  EXPECT_EQ(picked(""), std::nullopt);  // the terminal is gone
}
TEST(Picker, EnterOnNothingWaits) { EXPECT_EQ(picked("zzz\r\x15" "doc\r"), 2U); }
TEST(Picker, BackspaceWholeCharacters) { EXPECT_EQ(picked("ž\x7f" "docs\r"), 2U); }

TEST(Picker, ScrollsToTheSelection) {
  ScriptedUi ui("\x1b[B\x1b[B", 2);
  ASSERT_TRUE(pick(ui, "Which?", kItems));
  ASSERT_EQ(ui.last.lines.size(), 2U);
  EXPECT_EQ(ui.last.lines[1].name, "docs");
  EXPECT_TRUE(ui.last.lines[1].selected);
}

TEST(Picker, ShowsNamesPrintable) {
  ScriptedUi ui("");
  ASSERT_TRUE(pick(ui, "Which?", {{"a\x1b[31m", ""}}));
  EXPECT_EQ(ui.last.lines[0].name, "a\\x1b[31m");
}

TEST(NextKey, WaitsForTheRestOfASequence) {
  std::string bytes = "\x1b[";
  EXPECT_FALSE(next_key(bytes, false));
  bytes += "A";
  EXPECT_EQ(next_key(bytes, false)->kind, Key::Kind::kUp);
  EXPECT_EQ(bytes, "");
}

}  // namespace
}  // namespace locki::term
