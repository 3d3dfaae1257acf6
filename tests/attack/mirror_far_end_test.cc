// Attack: the far end of the mirror is the agent's own program. Each case says what it sends; none may change anything
// on the host, and the worker must end with a violation that says why (or carry on where the message is merely
// useless).
#include <gtest/gtest.h>

#include <csignal>

#include "mirror/stream.h"
#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class HostileFarEnd : public ::testing::Test {
 protected:
  void SetUp() override {
    (void)::signal(SIGPIPE, SIG_IGN);
    fs::create_directories(outside_.path() / "target");
    write(outside_.path() / "target/file", "outside");
    write(pair_.host() / "mine", "human");
    before_ = listing(pair_.host());
    refs_ = pair_.git(pair_.path("repo"), {"for-each-ref"});
    pair_.start();
  }
  void raw(std::string_view bytes) { (void)sys::write_all(pair_.far_fd(), bytes); }
  void send(const wire::Message& message) { raw(wire::encode(message)); }
  void greet() { send(wire::FarHello{wire::kVersion, "hostile"}); }
  // An empty sandbox, as far as it says.
  void list(std::vector<wire::ListedEntry> entries, bool full = true) {
    send(wire::Entries{++generation_, full, full, true, std::move(entries)});
  }
  // The next message of that type.
  template <class T>
  std::optional<T> wait_for() {
    for (;;) {
      auto frame = decoder_.next();
      if (!frame) return std::nullopt;
      if (*frame) {
        if (auto* found = std::get_if<T>(&(*frame)->message)) return *found;
        continue;
      }
      const auto readable = sys::wait_readable(pair_.far_fd(), std::chrono::seconds(60));
      if (!readable || !*readable) return std::nullopt;
      std::uint8_t buffer[65536];
      const auto n = sys::read_some(pair_.far_fd(), buffer, sizeof buffer);
      if (!n || *n == 0) return std::nullopt;
      decoder_.feed(ByteView(buffer, *n));
    }
  }
  void expect_violation(std::string_view reason) {
    EXPECT_EQ(pair_.wait_worker().status, kStatusViolation);
    const auto event = pair_.event("violation", seconds(1));
    ASSERT_TRUE(event);
    EXPECT_NE(event->text.find(reason), std::string::npos) << event->text;
    expect_untouched();
  }
  void expect_untouched() {
    EXPECT_EQ(listing(pair_.host()), before_);
    EXPECT_EQ(pair_.git(pair_.path("repo"), {"for-each-ref"}), refs_);
    EXPECT_EQ(listing(outside_.path()).size(), 2u);
    EXPECT_EQ(read(outside_.path() / "target/file"), "outside");
  }

  MirrorPair pair_{false};
  sys::TemporaryDirectory outside_ =
      std::move(*sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-outside"));
  std::map<std::string, std::string> before_;
  std::string refs_;
  wire::Decoder decoder_;
  std::uint64_t generation_ = 0;
};

TEST_F(HostileFarEnd, SpeaksRubbish) {
  raw(std::string(100, '\xff'));
  expect_violation("larger than agreed");
}

TEST_F(HostileFarEnd, SpeaksAnotherVersion) {
  send(wire::FarHello{99, "x"});
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
  send(wire::Pack{fetch->id, fetch->want});
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

}  // namespace
}  // namespace locki::mirror::test
