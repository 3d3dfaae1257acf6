#include "mirror/door.h"

#include <gtest/gtest.h>

namespace locki::mirror {
namespace {

using namespace std::chrono_literals;

class DoorTest : public ::testing::Test {
 protected:
  Result<> send(const wire::Message& message) { return door_.admit(message, 100, now_); }
  void greet() { ASSERT_TRUE(send(wire::FarHello{wire::kVersion, "test", "", ""}).has_value()); }
  static wire::Entries one(std::string path, std::optional<Entry> entry) {
    return {1, false, true, true, {{std::move(path), std::move(entry)}}};
  }
  void expect_refused(const wire::Message& message, std::string_view reason) {
    const auto result = send(message);
    ASSERT_FALSE(result.has_value()) << "admitted: " << reason;
    EXPECT_NE(result.error().describe().find(reason), std::string::npos) << result.error().describe();
  }

  Door::Clock::time_point now_{};
  DoorLimits limits_{.max_file = 1000,
                     .max_pack = 1000,
                     .entries_per_second = 10,
                     .entries_burst = 100,
                     .messages_per_second = 100,
                     .messages_burst = 1000};
  Door door_{limits_, now_};
};

TEST_F(DoorTest, GreetingFirstAndOnce) {
  expect_refused(wire::Head{}, "before the greeting");
  greet();
  expect_refused(wire::FarHello{wire::kVersion, "", "", ""}, "second greeting");
}

TEST_F(DoorTest, OtherVersions) { expect_refused(wire::FarHello{wire::kVersion + 1, "", "", ""}, "version"); }

TEST_F(DoorTest, WhatOnlyTheHostSends) {
  greet();
  expect_refused(wire::Put{}, "only the host");
  expect_refused(wire::GitPack{}, "only the host");
}

TEST_F(DoorTest, Names) {
  greet();
  const Entry file = Entry::file(1, {});
  EXPECT_TRUE(send(one("a/b", file)).has_value());
  expect_refused(one(".git/config", file), ".git");
  expect_refused(one("a/../b", file), "..");
  expect_refused(one("GIT~1", Entry::directory()), ".git");
  // Also for what is gone: a path that may not exist may not go either.
  expect_refused(one("/etc/passwd", std::nullopt), "component");
}

TEST_F(DoorTest, Entries) {
  greet();
  expect_refused(one("big", Entry::file(1001, {})), "larger");
  expect_refused(one("l", Entry::symlink("/etc")), "absolute");
  expect_refused(one("l", Entry::symlink("../x")), "outside");
  Entry liar = Entry::symlink("a");
  liar.size = 7;
  expect_refused(one("l", liar), "does not match");
  Entry directory = Entry::directory();
  directory.size = 1;
  expect_refused(one("d", directory), "directory");
}

TEST_F(DoorTest, PiecesOfAList) {
  greet();
  expect_refused(wire::Entries{1, true, false, true, {}}, "does not begin");
}

TEST_F(DoorTest, AListThatStartsTwice) {
  greet();
  ASSERT_TRUE(send(wire::Entries{1, true, true, false, {{"a", Entry::directory()}}}).has_value());
  expect_refused(wire::Entries{1, true, true, false, {{"b", Entry::directory()}}}, "does not begin");
}

TEST_F(DoorTest, AFullListWithSomethingGone) {
  greet();
  expect_refused(wire::Entries{1, true, true, true, {{"a", std::nullopt}}}, "gone");
}

TEST_F(DoorTest, OnlyWhatWasAskedFor) {
  greet();
  expect_refused(wire::Data{5, true, false, "x"}, "nobody asked");
  expect_refused(wire::Content{5, 1}, "nobody asked");
  expect_refused(wire::Pack{5, std::string(40, 'a')}, "nobody asked");
  expect_refused(wire::Done{5, wire::DoneStatus::kOk, std::nullopt, ""}, "nobody asked");
  expect_refused(wire::BarrierDone{5, 1}, "nobody asked");
  door_.expect_done(5);
  expect_refused(wire::Content{5, 1}, "nobody asked");
  EXPECT_TRUE(send(wire::Done{5, wire::DoneStatus::kOk, std::nullopt, ""}).has_value());
  expect_refused(wire::Done{5, wire::DoneStatus::kOk, std::nullopt, ""}, "nobody asked");
}

TEST_F(DoorTest, FilesAreExactlyAsLongAsListed) {
  greet();
  for (wire::Id id = 1; id <= 5; ++id) door_.expect_file(id, 4);
  expect_refused(wire::Data{1, false, false, "ab"}, "before its announcement");
  expect_refused(wire::Content{1, 5}, "another size");
  ASSERT_TRUE(send(wire::Content{1, 4}).has_value());
  ASSERT_TRUE(send(wire::Data{1, false, false, "ab"}).has_value());
  expect_refused(wire::Data{1, false, false, ""}, "without bytes");
  expect_refused(wire::Data{1, false, false, "abc"}, "more data");
  ASSERT_TRUE(send(wire::Data{1, true, false, "cd"}).has_value());
  ASSERT_TRUE(send(wire::Content{2, 4}).has_value());
  expect_refused(wire::Data{2, true, false, "ab"}, "less data");
  ASSERT_TRUE(send(wire::Content{3, 4}).has_value());
  EXPECT_TRUE(send(wire::Data{3, false, true, ""}).has_value());
  EXPECT_TRUE(send(wire::ContentGone{4}).has_value());
}

TEST_F(DoorTest, Packs) {
  greet();
  door_.expect_pack(1);
  expect_refused(wire::Pack{1, "HEAD"}, "object id");
  ASSERT_TRUE(send(wire::Pack{1, std::string(40, 'a')}).has_value());
  ASSERT_TRUE(send(wire::Data{1, false, false, std::string(600, 'x')}).has_value());
  expect_refused(wire::Data{1, false, false, std::string(600, 'x')}, "more data");
  // Where it cannot go on, it says why instead of the rest, once.
  EXPECT_TRUE(send(wire::Done{1, wire::DoneStatus::kFailed, std::nullopt, "git"}).has_value());
  expect_refused(wire::Data{1, false, false, "x"}, "nobody asked");
}

TEST_F(DoorTest, Heads) {
  greet();
  EXPECT_TRUE(send(wire::Head{"main", "", 0}).has_value());
  EXPECT_TRUE(send(wire::Head{"main", std::string(40, 'a'), 0}).has_value());
  expect_refused(wire::Head{"main", "../../x", 0}, "object id");
  expect_refused(wire::Head{"main", std::string(40, 'A'), 0}, "object id");
}

TEST_F(DoorTest, Rates) {
  greet();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(send(one("a", std::nullopt)).has_value()) << i;
  expect_refused(one("a", std::nullopt), "changes a second");
}

TEST_F(DoorTest, RatesRecover) {
  greet();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(send(one("a", std::nullopt)).has_value());
  now_ += 5s;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(send(one("a", std::nullopt)).has_value()) << i;
  expect_refused(one("a", std::nullopt), "changes a second");
}

TEST_F(DoorTest, MessageFlood) {
  greet();
  Result<> result;
  for (int i = 0; i < 1001 && result; ++i) result = send(wire::Problem{"x"});
  EXPECT_FALSE(result.has_value());
}

}  // namespace
}  // namespace locki::mirror
