#include "term/progress.h"

#include <gtest/gtest.h>

namespace locki::term {
namespace {

using namespace std::chrono_literals;
using Kind = ProgressEvent::Kind;

class Drawing : public ::testing::Test {
 protected:
  ProgressDrawing make(ProgressOptions options) {
    return ProgressDrawing(options, [this](std::string_view text) { out += text; });
  }
  ProgressDrawing::Clock::time_point at(std::chrono::milliseconds time) { return ProgressDrawing::Clock::time_point{} + time; }
  std::string out;
};

TEST_F(Drawing, PlainLinesBeginRepeatAndEnd) {
  auto drawing = make({});
  drawing.on({Kind::kBegin, "vm", "Building the VM system", {}}, at(0ms));
  drawing.tick(at(500ms));
  EXPECT_EQ(out, "");
  drawing.tick(at(1000ms));
  drawing.on({Kind::kUpdate, "vm", "", 0.25}, at(5s));
  for (auto t = 2s; t < 12s; t += 1s) drawing.tick(at(t));
  drawing.on({Kind::kEnd, "vm", "", {}}, at(71s));
  EXPECT_EQ(out,
            "Building the VM system …\n"
            "Building the VM system: 25 %, 11 s so far\n"
            "Building the VM system: 1 min 11 s\n");
}

TEST_F(Drawing, QuickPhasesAreSilent) {
  for (const bool live : {false, true}) {
    auto drawing = make({.live = live});
    drawing.on({Kind::kBegin, "x", "Looking", {}}, at(0ms));
    drawing.tick(at(100ms));
    drawing.on({Kind::kEnd, "x", "", {}}, at(200ms));
    drawing.tick(at(5s));
  }
  EXPECT_EQ(out, "");
}

TEST_F(Drawing, LiveLineIsRedrawnAndALongPhaseLeavesOne) {
  auto drawing = make({.live = true, .columns = 60});
  drawing.on({Kind::kBegin, "boot", "Starting the VM", 0.5}, at(0ms));
  drawing.tick(at(3100ms));
  EXPECT_EQ(out, "\r⠙ Starting the VM  ████████░░░░░░░░ 50 %  3 s\x1b[K");
  out.clear();
  drawing.on({Kind::kEnd, "boot", "", {}}, at(4s));
  EXPECT_EQ(out, "\r\x1b[K✓ Starting the VM  4 s\n");
}

TEST_F(Drawing, QuietKeepsWarningsOnly) {
  auto drawing = make({.verbosity = Verbosity::kQuiet});
  drawing.on({Kind::kNote, "", "falling back", {}}, at(0ms));
  drawing.on({Kind::kBegin, "a", "b", {}}, at(0ms));
  drawing.tick(at(20s));
  drawing.on({Kind::kWarning, "", "disk nearly full", {}}, at(0ms));
  EXPECT_EQ(out, "warning: disk nearly full\n");
}

TEST_F(Drawing, TextsAreMadePrintable) {
  auto drawing = make({});
  drawing.on({Kind::kNote, "", "x\x1b[31m", {}}, at(0ms));
  EXPECT_EQ(out, "x\\x1b[31m\n");
}

TEST_F(Drawing, ANoteDoesNotTearTheLiveLine) {
  auto drawing = make({.live = true});
  drawing.on({Kind::kBegin, "a", "Working", {}}, at(0ms));
  drawing.tick(at(400ms));
  out.clear();
  drawing.on({Kind::kNote, "", "by the way", {}}, at(500ms));
  EXPECT_EQ(out, "\r\x1b[Kby the way\n");
}

TEST(ProgressDisplay, ClearsItsLineWhenItGoes) {
  std::string out;
  {
    ProgressDisplay display({.live = true}, [&](std::string_view text) { out += text; });
    auto sink = display.sink();
    report(sink, {Kind::kBegin, "a", "Working", {}});
    std::this_thread::sleep_for(600ms);
  }
  EXPECT_NE(out.find("Working"), std::string::npos);
  EXPECT_TRUE(out.ends_with("\r\x1b[K")) << out;
}

}  // namespace
}  // namespace locki::term
