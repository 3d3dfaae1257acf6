#include "cli/session.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <thread>

#include "unit/cli/fakes.h"

namespace locki::cli {
namespace {

// A program that copies its stdin to stdout and says one line on stderr.
Result<incus::ExecResult> cat(FakeExecution&, const std::string&, const incus::ExecRequest&, incus::ExecIo io) {
  std::uint8_t buffer[4096];
  for (;;) {
    const auto n = sys::read_some(io.in, buffer, sizeof buffer);
    if (!n || *n == 0) break;
    if (!sys::write_all(io.out, ByteView(buffer, *n))) break;
  }
  (void)sys::write_all(io.err, "done\x1b]52;c;eA==\x07\n");
  return incus::ExecResult{.status = 3};
}

class Session : public ::testing::Test {
 protected:
  void SetUp() override {
    desk.services.answer("sandbox.open", kOpened);
    in = std::move(*sys::make_pipe());
    out = std::move(*sys::make_pipe());
    err = std::move(*sys::make_pipe());
    desk.context.terminal.in = in.read.get();
    desk.context.terminal.out = out.write.get();
    desk.context.terminal.err = err.write.get();
  }
  // stdin and stdout become a terminal.
  void on_terminal() {
    int master_fd = -1, slave_fd = -1;
    winsize size{.ws_row = 30, .ws_col = 100};
    ASSERT_EQ(::openpty(&master_fd, &slave_fd, nullptr, nullptr, &size), 0);
    master.reset(master_fd);
    slave.reset(slave_fd);
    desk.context.terminal.in = desk.context.terminal.out = slave_fd;
    desk.context.terminal.in_facts = desk.context.terminal.out_facts = {.terminal = true, .colour = true, .moving = true, .columns = 100};
  }
  std::string on_master() {
    std::string text;
    while (sys::wait_readable(master.get(), std::chrono::milliseconds(200)).value_or(false)) {
      std::uint8_t buffer[4096];
      const auto n = sys::read_some(master.get(), buffer, sizeof buffer);
      if (!n || *n == 0) break;
      text.append(reinterpret_cast<const char*>(buffer), *n);
    }
    return text;
  }
  bool is_cooked() {
    termios now{};
    ::tcgetattr(slave.get(), &now);
    return (now.c_lflag & (ECHO | ICANON)) == (ECHO | ICANON);
  }
  Desk desk;
  sys::Pipe in, out, err;
  sys::Fd master, slave;
};

TEST_F(Session, PipesAreByteExactAndTheStatusPassesThrough) {
  desk.services.program = cat;
  std::string bytes;
  for (int i = 0; i < 4000; ++i) bytes += static_cast<char>(i * 7);
  ASSERT_TRUE(sys::write_all(in.write.get(), bytes));
  in.write.reset();
  EXPECT_EQ(desk.run({"x", "fix", "--", "cat"}), 3);
  out.write.reset();
  err.write.reset();
  EXPECT_EQ(*sys::read_all(out.read.get(), 1 << 20), bytes);
  EXPECT_EQ(*sys::read_all(err.read.get(), 1 << 20), "done\x1b]52;c;eA==\x07\n");  // a pipe is not a terminal: untouched
}

TEST_F(Session, AnOutputThatIsATerminalIsFiltered) {
  desk.services.program = cat;
  desk.context.terminal.err_facts.terminal = true;  // stands in for a terminal: the filter goes by what is known of it
  in.write.reset();
  EXPECT_EQ(desk.run({"x", "fix", "cat"}), 3);
  err.write.reset();
  EXPECT_EQ(*sys::read_all(err.read.get(), 1 << 20), "done\n");
}

TEST_F(Session, TheRequestCarriesPrefixArgumentsAndTheAllowList) {
  incus::ExecRequest seen;
  std::string instance;
  int callers = 0;
  desk.services.program = [&](FakeExecution&, const std::string& name, const incus::ExecRequest& request, incus::ExecIo) {
    seen = request;
    instance = name;
    callers = desk.services.open_callers;
    return incus::ExecResult{};
  };
  desk.context.environment = {{"TERM", "xterm"}, {"LANG", "C.UTF-8"}, {"SECRET", "x"}};
  EXPECT_EQ(desk.run({"claude", "fix", "--", "--version"}), 0);
  EXPECT_EQ(seen.argv, (std::vector<std::string>{"/opt/claude", "--yolo", "--version"}));
  EXPECT_EQ(seen.environment, (std::map<std::string, std::string>{{"HOME", "/root"}, {"LANG", "C.UTF-8"}}));
  EXPECT_EQ(seen.cwd, "/home/me/wt/fix");
  EXPECT_FALSE(seen.interactive);
  EXPECT_EQ(instance, "locki-fix");
  EXPECT_GE(callers, 1) << "the connection that marks the session must stay open";
  EXPECT_TRUE(json::bool_or(desk.services.call_of("sandbox.open")->params, "create"));

  desk.services.calls.clear();
  desk.context.cwd = "/home/me/wt/fix/src";
  EXPECT_EQ(desk.run({"x", "fix"}), 0);
  EXPECT_EQ(seen.argv, (std::vector<std::string>{"/bin/bash", "-l"}));
  EXPECT_EQ(seen.cwd, "/home/me/wt/fix/src");
  EXPECT_FALSE(json::bool_or(desk.services.call_of("sandbox.open")->params, "create"));
}

TEST_F(Session, ATerminalIsRawFilteredAndGivenBack) {
  on_terminal();
  bool raw = false;
  incus::ExecRequest seen;
  desk.services.program = [&](FakeExecution&, const std::string&, const incus::ExecRequest& request, incus::ExecIo io) {
    seen = request;
    raw = !is_cooked();
    (void)sys::write_all(io.out, "\x1b[?1049h\x1b[?1000hhi\x1b]52;c;eA==\x07");
    return incus::ExecResult{.status = 5};
  };
  EXPECT_EQ(desk.run({"x", "fix", "vim"}), 5);
  EXPECT_TRUE(raw);
  EXPECT_TRUE(is_cooked());
  EXPECT_TRUE(seen.interactive);
  EXPECT_EQ(seen.width, 100);
  EXPECT_EQ(seen.height, 30);
  EXPECT_EQ(seen.environment.at("TERM"), "inside");
  EXPECT_EQ(on_master(), "\x1b[22;0t\x1b[?1049h\x1b[?1000hhi\x1b[?1000l\x1b[?1049l\x1b[m\x1b[23;0t");
}

TEST_F(Session, FailureToStartGivesTheTerminalBackToo) {
  on_terminal();
  desk.services.program = [](FakeExecution&, const std::string&, const incus::ExecRequest&, incus::ExecIo) -> Result<incus::ExecResult> {
    return fail(ErrorKind::kFailed, "no such program");
  };
  EXPECT_EQ(desk.run({"x", "fix", "nothing"}), 125);
  EXPECT_TRUE(is_cooked());
  EXPECT_NE(desk.err.find("no such program"), std::string::npos);
}

TEST_F(Session, SignalsGoToTheCommand) {
  desk.services.program = [&](FakeExecution& execution, const std::string&, const incus::ExecRequest&, incus::ExecIo) {
    ::kill(::getpid(), SIGTERM);
    const bool came = execution.wait_until([&] { return !desk.services.signals.empty(); });
    return incus::ExecResult{.status = came ? 143 : 1};
  };
  EXPECT_EQ(desk.run({"x", "fix", "sleep"}), 143);
  EXPECT_EQ(desk.services.signals, (std::vector<int>{SIGTERM}));
  EXPECT_FALSE(desk.services.cancelled);
}

TEST_F(Session, TheThirdInterruptLeaves) {
  desk.services.program = [&](FakeExecution& execution, const std::string&, const incus::ExecRequest&, incus::ExecIo) -> Result<incus::ExecResult> {
    for (std::size_t i = 1; i <= 3; ++i) {
      ::kill(::getpid(), SIGINT);
      execution.wait_until([&] { return desk.services.signals.size() >= i; });
    }
    execution.wait_until([&] { return desk.services.cancelled; });
    return fail(ErrorKind::kCancelled, "cancelled");
  };
  EXPECT_EQ(desk.run({"x", "fix", "stubborn"}), 130);
  EXPECT_TRUE(desk.services.cancelled);
}

TEST_F(Session, AReaderThatLeavesEndsTheWriter) {
  ::signal(SIGPIPE, SIG_IGN);
  out.read.reset();
  bool failed = false;
  desk.services.program = [&](FakeExecution&, const std::string&, const incus::ExecRequest&, incus::ExecIo io) {
    failed = !sys::write_all(io.out, "x");
    return incus::ExecResult{.status = 141, .out_closed = true};
  };
  EXPECT_EQ(desk.run({"x", "fix", "yes"}), 141);
  EXPECT_TRUE(failed);
}

TEST(SessionSummary, OneLineOfWhatIsThere) {
  const auto summary = [](const char* text) { return session_summary(*json::parse_object(text)); };
  EXPECT_EQ(summary(R"({"name":"fix","ahead":2,"dirty":true,"mirror":{"held":1,"conflicts":2,"problem":""}})"),
            "fix: 2 commits ahead, uncommitted changes, 1 file held at the door (locki review fix), 2 conflicts: your version stands (locki history fix)");
  EXPECT_EQ(summary(R"({"name":"fix","ahead":null,"dirty":null})"), "");
}

TEST(RefusedSummary, NamesEachHostOnceWithItsCommand) {
  const auto entries = *json::parse(R"([
    {"time":"2026-01-02T03:04:05.000Z","event":"refused","host":"before.example","port":443},
    {"time":"2026-01-02T03:04:07.000Z","event":"refused","host":"a.example","port":443},
    {"time":"2026-01-02T03:04:08.000Z","event":"refused","host":"a.example","port":80},
    {"time":"2026-01-02T03:04:08.000Z","event":"refused","host":"db.example\u001b[2J","port":5432},
    {"time":"2026-01-02T03:04:08.000Z","event":"refused","host":"","port":443},
    {"time":"2026-01-02T03:04:09.000Z","event":"closed","host":"fine.example","port":443}, 7])");
  EXPECT_EQ(refused_summary(entries.get_array(), "2026-01-02T03:04:06.000Z"),
            "refused by the network's rules; what should have passed can be allowed:\n  locki net allow a.example\n  locki net allow db.example\\x1b[2J:5432");
  EXPECT_EQ(refused_summary(entries.get_array(), "2026-01-02T03:04:09.500Z"), "");
}

}  // namespace
}  // namespace locki::cli
