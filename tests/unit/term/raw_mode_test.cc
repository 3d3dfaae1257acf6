#include "term/raw_mode.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <functional>

#include "sys/fd.h"

namespace locki::term {
namespace {

class RawModeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int master = -1, slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    master_.reset(master);
    slave_.reset(slave);
    ASSERT_TRUE(is_cooked());
  }
  bool is_cooked() {
    termios now{};
    ::tcgetattr(slave_.get(), &now);
    return (now.c_lflag & (ECHO | ICANON)) == (ECHO | ICANON);
  }
  bool becomes(bool cooked) {
    for (int i = 0; i < 300 && is_cooked() != cooked; ++i) ::usleep(10'000);
    return is_cooked() == cooked;
  }
  // Runs the body in a process of its own that has the terminal in raw mode; returns its pid once that is so.
  pid_t in_child(const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto raw = RawMode::enter(slave_.get());
      if (!raw) ::_exit(99);
      raw->set_farewell("BYE");
      body();
      ::_exit(98);
    }
    EXPECT_TRUE(becomes(false));
    return pid;
  }
  std::string written() {
    std::string text;
    while (sys::wait_readable(master_.get(), std::chrono::milliseconds(200)).value_or(false)) {
      std::uint8_t buffer[256];
      const auto n = sys::read_some(master_.get(), buffer, sizeof buffer);
      if (!n || *n == 0) break;
      text.append(reinterpret_cast<const char*>(buffer), *n);
    }
    return text;
  }
  sys::Fd master_, slave_;
};

TEST_F(RawModeTest, RestoresAtTheEndOfTheScope) {
  {
    auto raw = RawMode::enter(slave_.get());
    ASSERT_TRUE(raw);
    EXPECT_FALSE(is_cooked());
    EXPECT_EQ(RawMode::enter(slave_.get()).error().kind(), ErrorKind::kExists);
    raw->set_farewell("one");
    raw->set_farewell("two");
  }
  EXPECT_TRUE(is_cooked());
  EXPECT_EQ(written(), "two");
  EXPECT_TRUE(RawMode::enter(slave_.get()));  // and again
  EXPECT_TRUE(is_cooked());
}

TEST_F(RawModeTest, RefusedOffATerminal) {
  auto pipe = sys::make_pipe();
  ASSERT_TRUE(pipe);
  const auto raw = RawMode::enter(pipe->read.get());
  ASSERT_FALSE(raw);
  EXPECT_EQ(raw.error().kind(), ErrorKind::kUsage);
}

TEST_F(RawModeTest, RestoresOnExit) {
  const pid_t pid = in_child([] { ::usleep(100'000); std::exit(0); });
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(is_cooked());
  EXPECT_EQ(written(), "BYE");
}

TEST_F(RawModeTest, RestoresOnAFatalSignalAndDiesOfIt) {
  for (const int number : {SIGTERM, SIGHUP, SIGSEGV}) {
    const pid_t pid = in_child([] { for (;;) ::pause(); });
    ::usleep(50'000);
    ::kill(pid, number);
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << number << " " << status;
    EXPECT_TRUE(is_cooked()) << number;
    EXPECT_EQ(written(), "BYE") << number;
  }
}

TEST_F(RawModeTest, RestoresEvenWhenKilled) {
  const pid_t pid = in_child([] { for (;;) ::pause(); });
  ::usleep(50'000);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(becomes(true));
  EXPECT_EQ(written(), "BYE");
}

TEST_F(RawModeTest, TheWatcherLeavesOthersSettingsAlone) {
  const pid_t pid = in_child([] { for (;;) ::pause(); });
  termios now{};
  ::tcgetattr(slave_.get(), &now);
  now.c_lflag |= ISIG;  // a shell that was faster
  ::tcsetattr(slave_.get(), TCSANOW, &now);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ::usleep(300'000);
  EXPECT_FALSE(is_cooked());
  EXPECT_EQ(written(), "");
}

TEST_F(RawModeTest, RawAgainAfterBeingContinued) {
  const pid_t pid = in_child([] { for (;;) ::pause(); });
  ::usleep(50'000);
  termios cooked{};
  ::tcgetattr(slave_.get(), &cooked);
  cooked.c_lflag |= ECHO | ICANON;
  ::tcsetattr(slave_.get(), TCSANOW, &cooked);
  ::kill(pid, SIGCONT);
  EXPECT_TRUE(becomes(false));
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(becomes(true));
}

}  // namespace
}  // namespace locki::term
