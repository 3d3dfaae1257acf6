// share/session/agent-session, run as it is inside: a command on a screen that nobody looks at, and what is left of it.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "sandbox/screens.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::sandbox {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class AgentSession : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!sys::find_program("tmux")) GTEST_SKIP() << "no tmux on this host";
    std::string name = "/tmp/lkXXXXXX";  // short: tmux's socket lies in it
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    sockets_ = name;
  }
  void TearDown() override {
    if (sockets_.empty()) return;
    for (const auto& entry : fs::directory_iterator(sockets_)) {
      if (fs::is_socket(entry.path())) tmux(entry.path().filename(), {"kill-server"});
    }
    fs::remove_all(sockets_);
  }
  sys::Output session(std::vector<std::string> args) {
    auto environment = sys::clean_environment();
    environment["LOCKI_SESSIONS"] = sockets_.native();
    environment["TERM"] = "xterm";
    return sys::run({.program = LOCKI_SOURCE_DIR "/share/session/agent-session", .args = std::move(args), .environment = environment}).value();
  }
  void tmux(const std::string& name, std::vector<std::string> args) {
    args.insert(args.begin(), {"-S", sockets_ / name});
    (void)sys::run({.program = sys::find_program("tmux").value(), .args = std::move(args), .environment = sys::clean_environment()});
  }
  Screens state() { return parse_screens(session({"--state"}).out); }
  Screens wait_for(ScreenState wanted) {
    for (int i = 0; i < 100; ++i) {
      const auto screens = state();
      if (!screens.empty() && screens.begin()->second.state == wanted) return screens;
      std::this_thread::sleep_for(50ms);
    }
    return state();
  }
  fs::path sockets_;
};

TEST_F(AgentSession, WhatEndsUnseenIsTakenUpOnce) {
  // No terminal: joining fails at once, as if somebody had left.
  EXPECT_EQ(session({"pi", "/bin/sh", "-c", "echo what it said; sleep 1; exit 7"}).exit.status, 0);
  EXPECT_NE(state().at("pi").state, ScreenState::kFinished);
  EXPECT_EQ(wait_for(ScreenState::kFinished), (Screens{{"pi", {ScreenState::kFinished, 7}}}));
  // Watching does not take it up.
  EXPECT_EQ(session({"--watch"}).exit.status, 3);
  const auto taken = session({"--attach"});
  EXPECT_EQ(taken.exit.status, 7);
  EXPECT_NE(taken.out.find("what it said\n["), std::string::npos) << taken.out;
  EXPECT_TRUE(state().empty());
  EXPECT_EQ(session({"--attach"}).exit.status, 3);
}

TEST_F(AgentSession, TheSameCommandTakesUpBeforeItBeginsAnew) {
  (void)session({"pi", "/bin/sh", "-c", "exit 3"});
  EXPECT_EQ(wait_for(ScreenState::kFinished), (Screens{{"pi", {ScreenState::kFinished, 3}}}));
  EXPECT_EQ(session({"pi", "/bin/sleep", "100"}).exit.status, 3);
  EXPECT_TRUE(state().empty());
  EXPECT_EQ(session({"pi", "/bin/sleep", "100"}).exit.status, 0);
  EXPECT_EQ(state().at("pi").state, ScreenState::kRunning);
}

}  // namespace
}  // namespace locki::sandbox
