// Attack: the far end of the mirror is the agent's own program. Each case says what it sends; none may change anything
// on the host, and the worker must end with a violation that says why (or carry on where the message is merely
// useless).
#include <gtest/gtest.h>

#include "support/hostile_far_end.h"
#include "unit/git/repo.h"

namespace locki::mirror::test {
namespace {

TEST_F(HostileFarEnd, SpeaksRubbish) {
  raw(std::string(100, '\xff'));
  expect_violation("larger than agreed");
}

TEST_F(HostileFarEnd, SpeaksAnotherVersion) {
  send(wire::FarHello{99, "x", "", ""});
  expect_violation("version");
}

TEST_F(HostileFarEnd, ListsDotGit) {
  greet();
  list({{".git", Entry::directory()},
        {".git/hooks", Entry::directory()},
        {".git/hooks/pre-commit", Entry::file(3, hash_of("abc"), true)}});
  expect_violation(".git");
}

TEST_F(HostileFarEnd, ListsDotGitAsAFileSystemWouldReadIt) {
  greet();
  list({{"sub", Entry::directory()}, {"sub/.G\xe2\x80\x8dit", Entry::directory()}});
  expect_violation(".git");
}

TEST_F(HostileFarEnd, ListsAWayOut) {
  greet();
  list({{"../target/file", Entry::file(3, hash_of("abc"))}});
  expect_violation("..");
}

TEST_F(HostileFarEnd, ListsASymlinkOut) {
  greet();
  list({{"out", Entry::symlink("../outside")}});
  expect_violation("outside");
}

TEST_F(HostileFarEnd, ListsFilesBeneathASymlink) {
  greet();
  for (int i = 0; i < 5; ++i) list({{"l", Entry::symlink("d")}, {"l/file", Entry::file(3, hash_of("abc"))}});
  expect_violation("beneath what is not a directory");
}

TEST_F(HostileFarEnd, SendsOtherContentThanItListed) {
  greet();
  list({{"new", Entry::file(3, hash_of("abc"))}});
  const auto fetch = wait_for<wire::Fetch>();
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->path, "new");
  send(wire::Content{fetch->id, 3});
  send(wire::Data{fetch->id, true, false, "xyz"});
  EXPECT_TRUE(pair_.event("blocked"));
  EXPECT_FALSE(fs::exists(pair_.host() / "new"));
  expect_untouched();
}

TEST_F(HostileFarEnd, SendsMoreContentThanItListed) {
  greet();
  list({{"new", Entry::file(3, hash_of("abc"))}});
  const auto fetch = wait_for<wire::Fetch>();
  ASSERT_TRUE(fetch);
  send(wire::Content{fetch->id, 3});
  send(wire::Data{fetch->id, false, false, std::string(4, 'x')});
  expect_violation("more data");
}

TEST_F(HostileFarEnd, SendsWhatNobodyAskedFor) {
  greet();
  list({});
  send(wire::Data{77, true, false, "x"});
  expect_violation("nobody asked");
}

// Not hostile: the agent commits on top of what came in before the answer to it is on its way. The answer must not hide that.
TEST_F(HostileFarEnd, MovesOnBeforeItAnswers) {
  const auto users = pair_.commit(pair_.host(), "the user's");
  greet();
  list({});
  send(wire::Head{"topic", "", 0});
  const auto pack = wait_for<wire::GitPack>();
  ASSERT_TRUE(pack);
  EXPECT_EQ(pack->new_oid, users);
  const std::string agents(40, 'a');
  send(wire::Head{"topic", agents, 1});
  send(wire::Done{.id = pack->id, .status = wire::DoneStatus::kOk});
  const auto asked = wait_for<wire::GitFetch>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->wants, (std::vector<std::string>{agents}));
}

// Whatever it answers to the user's commit, the worker asks it again with pauses, believes no word of it, and the user's branch stays.
// That it has just come back from a crash, each time, with nothing on its disk: no file of the host's goes for it, and no
// text of its reaches a person.
TEST_F(HostileFarEnd, LiesAboutCrashes) {
  for (int life = 0; life < 3; ++life) {
    send(wire::FarHello{wire::kVersion, "hostile", "boot \x1b[2J " + std::to_string(life), std::string(200, '9')});
    list(life == 0 ? std::vector<wire::ListedEntry>{} : std::vector<wire::ListedEntry>{{"alone", Entry::file(0, hash_of(""))}});
    send(wire::Head{"topic", "", 0});
    ASSERT_TRUE(wait_while(pair_.request({{"request", "sync"}}), [&](const wire::Message& message) {
      comply(message);
      if (const auto* fetch = std::get_if<wire::Fetch>(&message)) send(wire::ContentGone{fetch->id});
      if (const auto* flush = std::get_if<wire::Flush>(&message)) send(wire::Done{.id = flush->id});
    }));
    EXPECT_EQ(read(pair_.host() / "mine"), "human");
    EXPECT_EQ(read(pair_.host() / "README"), "one\ntwo\nthree\nfour\nfive\n");
    for (const Event& event : pair_.events) EXPECT_EQ(event.text.find('\x1b'), std::string::npos) << event.kind;
    pair_.kill_worker();
    decoder_ = {};
    pair_.start();
  }
}

// That everything is on its disk, or nothing ever: syncs are answered all the same.
TEST_F(HostileFarEnd, NeverWritesToItsDisk) {
  greet();
  list({});
  send(wire::Head{"topic", pair_.git(pair_.host(), {"rev-parse", "HEAD"}), 0});
  int flushes = 0;
  for (int i = 0; i < 3; ++i) {
    write(pair_.host() / ("new" + std::to_string(i)), "n");
    ASSERT_TRUE(wait_while(pair_.request({{"request", "sync"}}), [&](const wire::Message& message) {
      comply(message);
      if (const auto* flush = std::get_if<wire::Flush>(&message)) {
        ++flushes;
        if (i == 0) send(wire::Done{.id = flush->id, .status = wire::DoneStatus::kFailed, .message = "\x1b]0;no\a"});
      }
    }));
    ::usleep(1'200'000);
  }
  EXPECT_LE(flushes, 3) << "with pauses";
  for (const Event& event : pair_.events) EXPECT_EQ(event.text.find('\x1b'), std::string::npos) << event.kind;
  EXPECT_FALSE(pair_.saw("failed"));
}

TEST_F(HostileFarEnd, LiesAboutWhatItPutOnTop) {
  greet();
  std::vector<wire::ListedEntry> entries;
  for (const std::string name : {".gitignore", "README", "mine"}) {
    const std::string text = read(pair_.host() / name);
    entries.push_back({name, Entry::file(text.size(), hash_of(text))});
  }
  list(entries);
  const auto agreed = pair_.git(pair_.host(), {"rev-parse", "HEAD"});
  send(wire::Head{"topic", agreed, 0});
  ASSERT_TRUE(wait_while(pair_.request({{"request", "sync"}}), [&](const wire::Message& message) { comply(message); }));
  const auto users = pair_.commit(pair_.host(), "the user's");
  int head = 0;
  for (const auto status : {wire::DoneStatus::kClash, wire::DoneStatus::kWaiting, wire::DoneStatus::kConflict, wire::DoneStatus::kFailed}) {
    for (const bool moves : {false, true}) {
      int asked = 0;
      const auto lie = [&](const wire::Message& message) {
        const auto* data = std::get_if<wire::Data>(&message);
        const auto* fetch = std::get_if<wire::GitFetch>(&message);
        if (fetch == nullptr && (data == nullptr || !(data->last || data->failed))) return;
        ++asked;
        if (moves) send(wire::Head{"topic", std::string(38, 'b') + std::to_string(10 + head++ % 90), 0});
        send(wire::Done{.id = fetch != nullptr ? fetch->id : data->id, .status = status, .message = "\x1b[2J lies", .replayed = 7});
      };
      send(wire::Head{"topic", moves ? std::string(40, 'c') : agreed, 0});
      const auto end = steady_clock::now() + seconds(3);
      while (steady_clock::now() < end) {
        if (!sys::wait_readable(pair_.far_fd(), std::chrono::milliseconds(20)).value_or(false)) continue;
        std::uint8_t buffer[65536];
        const auto n = sys::read_some(pair_.far_fd(), buffer, sizeof buffer);
        ASSERT_TRUE(n && *n > 0);
        decoder_.feed(ByteView(buffer, *n));
        for (auto frame = decoder_.next(); frame && *frame; frame = decoder_.next()) lie((*frame)->message);
      }
      EXPECT_LE(asked, 16) << static_cast<int>(status) << moves;
    }
  }
  EXPECT_EQ(pair_.git(pair_.host(), {"rev-parse", "topic"}), users);
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"for-each-ref", "refs/locki"}), "");
  (void)pair_.event("never", seconds(0));
  for (const Event& event : pair_.events) EXPECT_EQ(event.text.find('\x1b'), std::string::npos) << event.kind;
}

// What it lists it never gives: the worker neither asks without end nor lets a sync wait for ever.
TEST_F(HostileFarEnd, NeverGivesWhatItLists) {
  greet();
  std::vector<wire::ListedEntry> entries{{"new", Entry::file(3, hash_of("abc"))}};
  for (const std::string name : {".gitignore", "README", "mine"}) {
    const std::string text = read(pair_.host() / name);
    entries.push_back({name, Entry::file(text.size(), hash_of(text))});
  }
  list(entries);
  send(wire::Head{"topic", pair_.git(pair_.host(), {"rev-parse", "HEAD"}), 0});
  const std::int64_t sync = pair_.request({{"request", "sync"}});
  int asked = 0, rescans = 0;
  const auto answer = wait_while(sync, [&](const wire::Message& message) {
    if (const auto* fetch = std::get_if<wire::Fetch>(&message); fetch != nullptr && ++asked > 0) send(wire::ContentGone{fetch->id});
    comply(message);
    if (std::holds_alternative<wire::Rescan>(message) && ++rescans > 0) list(entries);
  });
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->at("blocked").as_array().size(), 1u);
  EXPECT_EQ(json::string_or(answer->at("blocked").as_array()[0].as_object(), "path"), "new");
  EXPECT_GE(asked, 2);
  EXPECT_LE(asked, 40);  // one every half second, as long as the sync waits
  EXPECT_GE(rescans, 1);
  EXPECT_LE(rescans, 4);
  expect_untouched();
}

// Not hostile: a file came and went beneath a directory that the user has deleted. The far end said that it came; that it went
// is in the answer that the directory is removed.
TEST_F(HostileFarEnd, RemovesADirectoryInWhichSomethingWas) {
  greet();
  list({{"mine", Entry::file(5, hash_of("human"))}, {"d", Entry::directory()}});
  const std::string tip = pair_.git(pair_.host(), {"rev-parse", "HEAD"});
  send(wire::Head{"topic", tip, 0});
  ASSERT_TRUE(wait_while(pair_.request({{"request", "sync"}}), [&](const wire::Message& message) { comply(message); }));
  ASSERT_TRUE(fs::remove(pair_.host() / "d"));
  const auto removal = wait_for<wire::Remove>();
  ASSERT_TRUE(removal);
  EXPECT_EQ(removal->path, "d");
  send(wire::Entries{++generation_, false, true, true, {{"d/x", Entry::file(3, hash_of("abc"))}}});
  send(wire::Done{.id = removal->id, .status = wire::DoneStatus::kOk});
  int asked = 0;
  const auto answer = wait_while(pair_.request({{"request", "sync"}}), [&](const wire::Message& message) {
    comply(message);
    if (const auto* fetch = std::get_if<wire::Fetch>(&message); fetch != nullptr && ++asked > 0) send(wire::ContentGone{fetch->id});
  });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->at("blocked").as_array().size(), 0u);
  EXPECT_EQ(asked, 0);
  EXPECT_FALSE(fs::exists(pair_.host() / "d"));
}

TEST_F(HostileFarEnd, NamesACommitThatIsNone) {
  greet();
  list({});
  send(wire::Head{"topic", "--upload-pack=touch", 0});
  expect_violation("object id");
}

TEST_F(HostileFarEnd, SendsAPackOfRubbish) {
  greet();
  list({{"mine", Entry::file(5, hash_of("human"))}});
  send(wire::Head{"topic", std::string(40, 'a'), 0});
  const auto fetch = wait_for<wire::GitFetch>();
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, fetch->wants.front()});
  send(wire::Data{fetch->id, true, false, "PACK\0\0\0\2 rubbish"});
  const auto rejected = pair_.event("rejected");
  ASSERT_TRUE(rejected);
  EXPECT_NE(rejected->text.find("git refuses"), std::string::npos) << rejected->text;
  expect_untouched();
}

// A far end that claims the host's tip to be gone must not make the host forget anything.
TEST_F(HostileFarEnd, GivesCreditItDidNotGet) {
  greet();
  list({});
  send(wire::Credit{1 << 21});
  expect_violation("credit");
}


// ---- names, kinds and targets

class HostileName : public HostileFarEnd, public ::testing::WithParamInterface<std::string> {};

TEST_P(HostileName, EndsTheSession) {
  greet();
  list({{GetParam(), Entry::file(3, hash_of("abc"), true)}});
  EXPECT_EQ(pair_.wait_worker().status, kStatusViolation);
  const auto event = pair_.event("violation", seconds(1));
  ASSERT_TRUE(event);
  for (const char c : event->text) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << "what is told is printable";
  expect_untouched();
}

INSTANTIATE_TEST_SUITE_P(
    Paths, HostileName,
    ::testing::Values(".git", ".GIT", ".Git/config", "a/.git/hooks/pre-commit", ".git.", ".git ", ".git . .", ".git::$INDEX_ALLOCATION", ".git:x", "git~1", "GIT~1",
                      "a/git~2/config", "gi7eba~1", ".g\xe2\x80\x8cit", "\xe2\x80\xaa.git", ".gi\xef\xbb\xbft", ".g\xc4\xb1t", "..", "../x", "a/../b", "./a", "a//b", "/etc/passwd", "",
                      "a/", std::string("a\0b", 3), "a\\b", "a\nb", "\x1b]0;owned\x07", "\xc2\x9b" "31m", "\xe2\x80\xae" "txt.exe", "\xff\xfe", std::string(256, 'n'),
                      std::string(4000, 'p'), [] {
                        std::string deep = "d";
                        for (int i = 0; i < 80; ++i) deep += "/d";
                        return deep;
                      }(),
                      ".locki-tmp-x", "a/.LOCKI-TMP-x"));

class HostileTarget : public HostileFarEnd, public ::testing::WithParamInterface<std::string> {};

TEST_P(HostileTarget, EndsTheSession) {
  greet();
  list({{"d", Entry::directory()}, {"d/link", Entry::symlink(GetParam())}});
  EXPECT_EQ(pair_.wait_worker().status, kStatusViolation);
  expect_untouched();
}

INSTANTIATE_TEST_SUITE_P(Targets, HostileTarget,
                         ::testing::Values("/etc/passwd", "../..", "../../x", "x/../../..", "x/../y", ".git", "../.git/config", "../.GIT/hooks", "", std::string("a\0b", 3),
                                           "\x1b[2J", std::string(2000, 't'), "../git~1/config"));

// No device, FIFO, socket or set-id file has a place in a frame: a kind that is none is a broken frame.
TEST_F(HostileFarEnd, ListsKindsThatAreNone) {
  greet();
  std::string bytes = wire::encode(wire::Entries{++generation_, true, true, true, {{"special-file", Entry::file(0, hash_of(""))}}});
  const auto at = bytes.find("special-file");
  ASSERT_NE(at, std::string::npos);
  const auto kind = bytes.find('\x01', at + 12 + 1);  // after the path: "there is an entry", then its kind
  ASSERT_NE(kind, std::string::npos);
  bytes[kind] = '\x07';
  raw(bytes);
  expect_violation("kind");
}

TEST_F(HostileFarEnd, ListsAFileLargerThanMayTravel) {
  greet();
  list({{"huge", Entry::file(1ULL << 50, hash_of("x"))}});
  EXPECT_EQ(pair_.wait_worker().status, kStatusViolation);
  expect_untouched();
}

// ---- races: a directory of the worktree is replaced by a symlink while a file for it is under way

TEST_F(HostileFarEnd, ADirectoryBecomesASymlinkWhileAFileArrives) {
  greet();
  list({{"d", Entry::directory()}, {"d/file", Entry::file(6, hash_of("stolen"))}});
  const auto fetch = wait_for<wire::Fetch>();
  ASSERT_TRUE(fetch);
  send(wire::Content{fetch->id, 6});
  send(wire::Data{fetch->id, false, false, "sto"});
  ::usleep(200'000);
  fs::rename(pair_.host() / "d", pair_.host() / "was");
  fs::create_directory_symlink(outside_.path() / "target", pair_.host() / "d");
  send(wire::Data{fetch->id, true, false, "len"});
  ::usleep(500'000);
  EXPECT_EQ(read(outside_.path() / "target/file"), "outside");
  EXPECT_EQ(listing(outside_.path()).size(), 2u);
}

TEST_F(HostileFarEnd, ADirectoryBecomesASymlinkBeforeAFileArrives) {
  greet();
  list({{"d", Entry::directory()}, {"d/file", Entry::file(6, hash_of("stolen"))}, {"d/sub", Entry::directory()}});
  const auto fetch = wait_for<wire::Fetch>();
  ASSERT_TRUE(fetch);
  fs::rename(pair_.host() / "d", pair_.host() / "was");
  fs::create_directory_symlink(outside_.path() / "target", pair_.host() / "d");
  send(wire::Content{fetch->id, 6});
  send(wire::Data{fetch->id, true, false, "stolen"});
  ::usleep(500'000);
  EXPECT_EQ(read(outside_.path() / "target/file"), "outside");
  EXPECT_EQ(listing(outside_.path()).size(), 2u);
}

// ---- packs: what git's own checks and ours refuse leaves no object behind (every kind of it: tests/unit/git/pack_test.cc)

class HostilePack : public HostileFarEnd, public ::testing::WithParamInterface<std::string> {
 protected:
  // A commit on top of the branch whose tree is hostile in the way the parameter says.
  std::string hostile_commit() {
    agent_.git({"fetch", "-q", pair_.path("repo").string(), "topic"});
    base_ = agent_.git({"rev-parse", "FETCH_HEAD"});
    const std::string blob = agent_.blob("#!/bin/sh\ntouch canary\n");
    using Items = std::vector<git::test::TestRepo::Item>;
    const auto hooks = agent_.tree({{"100755", "pre-commit", blob}});
    const std::map<std::string, Items> trees{
        {"dotgit", {{"40000", ".git", hooks}}},
        {"case", {{"40000", ".GIT", hooks}}},
        {"ntfs", {{"40000", "git~1", hooks}}},
        {"hfs", {{"40000", ".g\xe2\x80\x8cit", hooks}}},
        {"dots", {{"40000", ".git . ", hooks}}},
        {"stream", {{"40000", ".git::$INDEX_ALLOCATION", hooks}}},
        {"up", {{"40000", "..", hooks}}},
        {"gitlink", {{"160000", "module", base_}}},
        {"setuid", {{"104755", "suid", blob}}},
        {"out", {{"120000", "link", agent_.blob("../../../etc")}}},
        {"into-git", {{"120000", "link", agent_.blob(".git/hooks/pre-commit")}}},
        {"twice", {{"100644", "same", blob}, {"40000", "same", hooks}}},
        {"escape", {{"100644", "\x1b]0;owned\x07", blob}}},
    };
    return agent_.commit(agent_.tree(trees.at(GetParam())), base_);
  }
  git::test::TestRepo agent_;
  std::string base_;
};

TEST_P(HostilePack, IsRefusedAndLeavesNothing) {
  const std::string tip = hostile_commit();
  greet();
  list({{"mine", Entry::file(5, hash_of("human"))}});
  send(wire::Head{"topic", tip, 0});
  const auto fetch = wait_for<wire::GitFetch>();
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, fetch->wants.front()});
  const std::string pack = *agent_.try_git({"pack-objects", "--revs", "--stdout", "-q", "--thin"}, tip + "\n^" + base_ + "\n");
  send(wire::Data{fetch->id, true, false, pack});
  const auto rejected = pair_.event("rejected");
  ASSERT_TRUE(rejected);
  EXPECT_EQ(rejected->version, tip);
  for (const char c : rejected->text) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << "what is told is printable";
  expect_untouched();
}

INSTANTIATE_TEST_SUITE_P(Trees, HostilePack,
                         ::testing::Values("dotgit", "case", "ntfs", "hfs", "dots", "stream", "up", "gitlink", "setuid", "out", "into-git", "twice", "escape"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace locki::mirror::test
