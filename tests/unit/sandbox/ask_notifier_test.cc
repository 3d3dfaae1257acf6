// Notifications of mode ask, with a program in the place of notify-send that does as it is told.
#include "sandbox/ask_notifier.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::sandbox {
namespace {

using namespace std::chrono_literals;

gate::Question question(const std::string& host, const std::string& sandbox = "shop") {
  return {"id-" + sandbox, sandbox, {gate::parse_host(host).value(), 443}};
}

TEST(Notification, SaysWhoWantsWhat) {
  EXPECT_EQ(notification(question("a.example"), 0, true, 30s),
            (std::vector<std::string>{"--app-name=locki", "--expire-time=30000", "--action=allow=Allow once", "--action=deny=Deny", "--", "locki: shop asks",
                                      "It wants to reach a.example:443."}));
  const auto old = notification(question("a.example", "-x"), 2, false, 30s);
  EXPECT_EQ(old, (std::vector<std::string>{"--app-name=locki", "--expire-time=30000", "--", "locki: -x asks",
                                           "It wants to reach a.example:443. 2 more wait. Decide in a terminal: locki net watch"}));
  // No parser of ours lets such a name in; it would be text all the same.
  gate::Question hostile = question("a.example");
  hostile.target.host.name = "<a href=\"x\">&\x1b[31m";
  const std::string body = notification(hostile, 0, true, 30s).back();
  EXPECT_EQ(body.find_first_of("<>\x1b"), std::string::npos) << body;
}

TEST(Notification, TakesAnswersFromLibnotify08) {
  for (const char* yes : {"notify-send 0.8.1\n", "notify-send 0.8", "notify-send 0.10.0", "notify-send 1.0.0"}) EXPECT_TRUE(takes_answers(yes)) << yes;
  for (const char* no : {"notify-send 0.7.9\n", "notify-send", "", "0", "x.9", "notify-send 0.", "notify-send .8"}) EXPECT_FALSE(takes_answers(no)) << no;
}

class AskNotifierTest : public ::testing::Test {
 protected:
  // `body` runs for each notification, with its arguments; "log" holds a line for each.
  void start(const std::string& body, const std::string& version = "0.8.1") {
    const auto program = directory_.path() / "notify-send";
    const std::string log = (directory_.path() / "log").native();
    ASSERT_TRUE(sys::write_file(program, "#!/bin/sh\nif [ \"$1\" = --version ]; then echo notify-send " + version + "; exit; fi\necho \"$*\" >> " + log + "\n" + body + "\n", 0700));
    AskNotifier::Needs needs;
    needs.questions = [this] {
      const std::scoped_lock lock(mutex_);
      return open_;
    };
    needs.wanted = [this] { return wanted_.load(); };
    needs.limit = [this] { return limit_; };
    needs.answer = [this](const gate::Question& which, bool allow) {
      const std::scoped_lock lock(mutex_);
      answers_.push_back((allow ? "allow " : "deny ") + which.target.host.name);
      std::erase(open_, which);
    };
    needs.settle = needs.gap = 10ms;
    notifier_ = std::make_unique<AskNotifier>(Desktop{program.native(), sys::clean_environment()}, needs);
  }
  void ask(const std::vector<gate::Question>& questions) {
    {
      const std::scoped_lock lock(mutex_);
      open_ = questions;
    }
    notifier_->wake();
  }
  std::vector<std::string> shown() { return split_lines(sys::read_file(directory_.path() / "log").value_or("")); }
  std::vector<std::string> answers() {
    const std::scoped_lock lock(mutex_);
    return answers_;
  }
  static bool soon(const std::function<bool()>& holds) {
    for (int i = 0; i < 1000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  sys::TemporaryDirectory directory_ = sys::TemporaryDirectory::make("/tmp", "locki-test").value();
  std::mutex mutex_;
  std::vector<gate::Question> open_;
  std::vector<std::string> answers_;
  std::atomic<bool> wanted_{true};
  std::chrono::milliseconds limit_ = 20s;
  std::unique_ptr<AskNotifier> notifier_;
};

using Lines = std::vector<std::string>;

TEST_F(AskNotifierTest, TakesTheAnswerAndGoesOnWithTheNext) {
  start("case \"$*\" in *a.example*) echo allow;; *) echo deny;; esac");
  ask({question("a.example"), question("b.example")});
  EXPECT_TRUE(soon([&] { return answers().size() == 2; }));
  EXPECT_EQ(answers(), (Lines{"allow a.example", "deny b.example"}));
  ASSERT_EQ(shown().size(), 2u);
  EXPECT_NE(shown()[0].find("1 more wait"), std::string::npos);
}

TEST_F(AskNotifierTest, OneAtATimeAndAClosedOneClosesTheRest) {
  start("mkdir " + (directory_.path() / "alone").native() + " || echo two >> " + (directory_.path() / "log").native() + "\nsleep 0.2\nrmdir " + (directory_.path() / "alone").native());
  ask({question("a.example"), question("b.example"), question("c.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 1; }));
  for (int i = 0; i < 20; ++i) notifier_->wake();
  std::this_thread::sleep_for(600ms);
  EXPECT_EQ(shown().size(), 1u) << "what was counted in the first is not shown again";
  ask({question("a.example"), question("d.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 2; }));
  EXPECT_NE(shown()[1].find("d.example"), std::string::npos);
  EXPECT_EQ(answers(), Lines{});
}

TEST_F(AskNotifierTest, AnOldProgramOnlyTells) {
  start("echo allow", "0.7.9");
  ask({question("a.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 1; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(shown()[0].find("--action"), std::string::npos);
  EXPECT_NE(shown()[0].find("locki net watch"), std::string::npos);
  EXPECT_EQ(answers(), Lines{});
}

TEST_F(AskNotifierTest, OtherWordsAndFailuresAreNoAnswer) {
  start("case \"$*\" in *a.example*) echo allowed;; *) echo allow; exit 1;; esac");
  ask({question("a.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 1; }));
  ask({question("b.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 2; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(answers(), Lines{});
}

TEST_F(AskNotifierTest, NothingWhileATerminalWatches) {
  wanted_ = false;
  start("echo allow");
  ask({question("a.example")});
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(shown(), Lines{});
}

// Each of these takes the notification away: the program would sleep for minutes.
TEST_F(AskNotifierTest, EndsWithTheQuestionTheTimeAndTheDaemon) {
  const std::string ended = (directory_.path() / "ended").native();
  start("trap 'echo x >> " + ended + "; kill $!; exit' TERM\nsleep 300 & wait");
  const auto count = [&] { return split_lines(sys::read_file(ended).value_or("")).size(); };
  ask({question("a.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 1; }));
  ask({});
  EXPECT_TRUE(soon([&] { return count() == 1; })) << "the question is decided elsewhere";
  ask({question("b.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 2; }));
  wanted_ = false;
  EXPECT_TRUE(soon([&] { return count() == 2; })) << "a terminal begins to watch";
  wanted_ = true;
  limit_ = 300ms;
  ask({question("c.example")});
  EXPECT_TRUE(soon([&] { return count() == 3; })) << "the time is over";
  limit_ = 20s;
  ask({question("d.example")});
  ASSERT_TRUE(soon([&] { return shown().size() == 4; }));
  const auto begun = std::chrono::steady_clock::now();
  notifier_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_EQ(count(), 4u);
  notifier_->wake();
}

TEST_F(AskNotifierTest, WithoutADesktopNothingHappens) {
  AskNotifier none(std::nullopt, {});
  none.wake();
  none.stop();
}

}  // namespace
}  // namespace locki::sandbox
