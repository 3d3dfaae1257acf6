#include "vm/qemu/qmp.h"

#include <gtest/gtest.h>

#include <csignal>

#include "support/fake_qmp.h"

namespace locki::vm {
namespace {

using test::FakeQmp;
using std::chrono::milliseconds;

class QmpTest : public testing::Test {
 protected:
  void SetUp() override { std::signal(SIGPIPE, SIG_IGN); }
};

Result<Qmp> connect(FakeQmp& fake) { return Qmp::over(fake.client(), milliseconds(5000)); }

TEST_F(QmpTest, GreetsAndExecutes) {
  FakeQmp fake([](const std::string& command) {
    if (command == "query-status") return std::string("{\"return\": {\"status\": \"running\"}, \"id\": ID}\r\n");
    return FakeQmp::fine(command);
  });
  auto qmp = connect(fake);
  ASSERT_TRUE(qmp) << qmp.error().describe();
  const auto answer = qmp->execute("query-status");
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(json::string_or(answer->as_object(), "status"), "running");
}

TEST_F(QmpTest, KeepsEventsThatComeBetween) {
  FakeQmp fake([](const std::string& command) {
    if (command == "qmp_capabilities") return FakeQmp::fine(command);
    return "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}, \"timestamp\": {}}\r\n" + FakeQmp::fine(command) + "{\"event\": \"RESET\"}\r\n";
  });
  auto qmp = connect(fake);
  ASSERT_TRUE(qmp && qmp->execute("stop"));
  const auto first = qmp->next_event(milliseconds(5000));
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->name, "SHUTDOWN");
  EXPECT_TRUE(json::bool_or((*first)->data, "guest"));
  EXPECT_EQ((*qmp->next_event(milliseconds(5000)))->name, "RESET");
  EXPECT_FALSE(*qmp->next_event(milliseconds(20)));
}

TEST_F(QmpTest, ARefusalIsPrintable) {
  FakeQmp fake([](const std::string& command) {
    if (command == "qmp_capabilities") return FakeQmp::fine(command);
    return std::string("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u001b[31m\"}, \"id\": ID}\n");
  });
  auto qmp = connect(fake);
  const auto answer = qmp->execute("cont");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kFailed);
  EXPECT_EQ(answer.error().message().find('\033'), std::string::npos);
}

TEST_F(QmpTest, IgnoresAnswersToOthers) {
  FakeQmp fake([](const std::string& command) {
    return "{\"return\": {\"stale\": true}, \"id\": 99}\n{\"return\": {\"stale\": true}}\n" + FakeQmp::fine(command);
  });
  auto qmp = connect(fake);
  const auto answer = qmp->execute("stop");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->as_object().empty());
}

TEST_F(QmpTest, NeverWaitsForEver) {
  FakeQmp silent([](const std::string& command) { return command == "qmp_capabilities" ? FakeQmp::fine(command) : std::string("\n"); });
  auto qmp = connect(silent);
  ASSERT_TRUE(qmp);
  const auto unanswered = qmp->execute("stop", {}, milliseconds(50));
  ASSERT_FALSE(unanswered);
  FakeQmp mute(FakeQmp::fine, " ");
  EXPECT_EQ(Qmp::over(mute.client(), milliseconds(50)).error().kind(), ErrorKind::kTimeout);
}

TEST_F(QmpTest, BoundsWhatAHostileEndSends) {
  FakeQmp endless(FakeQmp::fine, std::string(3 << 20, 'x'));
  EXPECT_EQ(Qmp::over(endless.client(), milliseconds(5000)).error().kind(), ErrorKind::kProtocol);
  FakeQmp chatty([](const std::string&) {
    std::string events;
    for (int i = 0; i < 1001; ++i) events += "{\"event\": \"X\"}\n";
    return events;
  });
  EXPECT_EQ(Qmp::over(chatty.client(), milliseconds(5000)).error().kind(), ErrorKind::kProtocol);
  FakeQmp odd(FakeQmp::fine, "[1,2]\n");
  EXPECT_FALSE(Qmp::over(odd.client(), milliseconds(5000)));
}

TEST_F(QmpTest, NoticesTheEnd) {
  FakeQmp fake([](const std::string& command) { return command == "qmp_capabilities" ? FakeQmp::fine(command) : std::string(); });
  auto qmp = connect(fake);
  ASSERT_TRUE(qmp);
  EXPECT_EQ(qmp->execute("quit").error().kind(), ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace locki::vm
