// Nobody who works in one of the two worktrees meets what the mirror has half done: git beside it, in a loop, and whoever watches.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

// git commands in one worktree, again and again, and what they complain about.
class GitLoop {
 public:
  GitLoop(const MirrorPair& pair, fs::path where, std::vector<std::vector<std::string>> commands)
      : pair_(pair), where_(std::move(where)), commands_(std::move(commands)), thread_([this] { run(); }) {}
  ~GitLoop() { end(); }
  // Those that `about` occurs in.
  std::vector<std::string> complaints(const std::vector<std::string>& about) {
    end();
    std::vector<std::string> found;
    for (const std::string& text : said_) {
      const auto names = [&](const std::string& word) { return text.find(word) != std::string::npos; };
      if (std::any_of(about.begin(), about.end(), names)) found.push_back(text);
    }
    return found;
  }
  int rounds() const { return rounds_; }

 private:
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void run() {
    const std::string git = git::find_git(pair_.path("home").string())->git;
    for (; !stop_; ++rounds_) {
      for (const auto& args : commands_) {
        sys::ProcessSpec spec{.program = git, .args = args, .environment = sys::clean_environment(), .directory = where_.string()};
        spec.environment["HOME"] = pair_.path("home").string();
        const auto done = sys::run(spec);
        if (!done) continue;
        // What git says of a temporary counts even where it goes on; what it lists may name one, too.
        if (!done->exit.ok() || (done->out + done->err).find(".locki") != std::string::npos) said_.push_back(args[0] + ": " + done->err + done->out.substr(0, 500));
      }
    }
  }

  const MirrorPair& pair_;
  fs::path where_;
  std::vector<std::vector<std::string>> commands_;
  std::atomic<bool> stop_{false};
  std::atomic<int> rounds_{0};
  std::vector<std::string> said_;
  std::thread thread_;
};

// Every name that turns up in some directories.
class NameWatch {
 public:
  explicit NameWatch(const std::vector<fs::path>& directories) : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    for (const fs::path& at : directories) EXPECT_GE(::inotify_add_watch(inotify_.get(), at.c_str(), IN_ALL_EVENTS), 0) << at;
    thread_ = std::thread([this] { run(); });
  }
  ~NameWatch() { end(); }
  std::set<std::string> names() {
    end();
    return names_;
  }

 private:
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void run() {
    alignas(inotify_event) char buffer[1 << 16];
    for (bool last = false; !last;) {
      last = stop_;
      pollfd one{inotify_.get(), POLLIN, 0};
      (void)::poll(&one, 1, 20);
      for (ssize_t size; (size = ::read(inotify_.get(), buffer, sizeof buffer)) > 0;) {
        for (char* at = buffer; at < buffer + size;) {
          const auto* event = reinterpret_cast<const inotify_event*>(at);
          if (event->len > 0) names_.insert(event->name);
          EXPECT_EQ(event->mask & IN_Q_OVERFLOW, 0U);
          at += sizeof(inotify_event) + event->len;
        }
      }
    }
  }

  sys::Fd inotify_;
  std::atomic<bool> stop_{false};
  std::set<std::string> names_;
  std::thread thread_;
};

class Unseen : public ::testing::Test {
 protected:
  void SetUp() override {
    (void)::signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < kDirectories; ++i) write(pair_.host() / directory(i) / "first", "f");
    pair_.commit(pair_.host(), "begin");
    pair_.start();
    ASSERT_TRUE(pair_.sync());
    // The clone, which is made before there is work inside.
    pair_.git(pair_.inside(), {"status"});
  }
  static std::string directory(int i) { return "d" + std::to_string(i % kDirectories); }
  // Both sides write new files and new contents of old ones, many at once, and wait for each other.
  void work(int turns, bool remove) {
    for (int turn = 0; turn < turns; ++turn) {
      for (int i = 0; i < 60; ++i) {
        const std::string text(2000 + static_cast<std::size_t>(i), static_cast<char>('a' + turn % 26));
        write(pair_.host() / directory(i) / ("human" + std::to_string(i + turn / 2 * 40)), text);
        write(pair_.inside() / directory(i) / ("agent" + std::to_string(i + turn / 2 * 40)), text);
        if (remove && turn > 0) fs::remove(pair_.host() / directory(i) / ("human" + std::to_string(i + (turn - 1) / 2 * 40)));
      }
      ASSERT_TRUE(pair_.sync());
    }
  }
  // No directory of ours is left where people look.
  void expect_clean() {
    for (const auto& top : {pair_.host(), pair_.inside()})
      for (const auto& [name, what] : listing(top)) EXPECT_EQ(name.find(".locki"), std::string::npos) << name;
    for (const auto& item : fs::directory_iterator(pair_.host().parent_path())) EXPECT_FALSE(item.path().filename().native().starts_with(".")) << item.path();
  }

  static constexpr int kDirectories = 12;
  MirrorPair pair_;
};

// Nothing is removed meanwhile, so git has no reason to miss anything.
TEST_F(Unseen, GitBesideItMissesNoFile) {
  const std::vector<std::vector<std::string>> commands{{"add", "-A"}, {"status", "--porcelain"}, {"clean", "-fdxn"}, {"diff", "--stat"}};
  GitLoop host(pair_, pair_.host(), commands), inside(pair_, pair_.inside(), commands);
  work(12, false);
  for (GitLoop* loop : {&host, &inside}) {
    EXPECT_EQ(loop->complaints({".locki", "unable to stat", "No such file"}), std::vector<std::string>{});
    EXPECT_GT(loop->rounds(), 3);
  }
  EXPECT_EQ(pair_.stop().status, 0);
  expect_clean();
}

// It takes files away and brings them back, and the mirror carries both; what it must not do is to stumble over a name of ours.
TEST_F(Unseen, GitStashDoesNotStumbleOverIt) {
  const std::vector<std::vector<std::string>> commands{{"stash", "-u", "-q"}, {"stash", "pop", "-q"}};
  {
    GitLoop inside(pair_, pair_.inside(), commands);
    work(6, false);
    EXPECT_EQ(inside.complaints({".locki"}), std::vector<std::string>{});
    EXPECT_GT(inside.rounds(), 1);
  }
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(pair_.stop().status, 0);
  expect_clean();
}

TEST_F(Unseen, WatchersSeeOnlyTheFilesThemselves) {
  std::vector<fs::path> watched;
  for (const auto& top : {pair_.host(), pair_.inside()}) {
    watched.push_back(top);
    for (int i = 0; i < kDirectories; ++i) watched.push_back(top / directory(i));
  }
  NameWatch watch(watched);
  work(8, true);
  const auto names = watch.names();
  EXPECT_GT(names.size(), 200U);
  const std::set<std::string> others{".git", ".gitignore", "README", "first"};
  for (const std::string& name : names) {
    const bool known = name.starts_with("human") || name.starts_with("agent") || name.starts_with("d") || others.contains(name);
    EXPECT_TRUE(known) << name;
  }
  EXPECT_EQ(pair_.stop().status, 0);
  expect_clean();
}

}  // namespace
}  // namespace locki::mirror::test
