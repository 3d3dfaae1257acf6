// The endpoint as its own process, driven over a socket pair by a scripted host.
#include "endpoint/endpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "endpoint/init_clone.h"
#include "endpoint/replay.h"
#include "endpoint/repository.h"
#include "mirror/door.h"
#include "mirror/wire.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::endpoint {
namespace {

namespace fs = std::filesystem;
namespace wire = mirror::wire;
using mirror::Entry;
using mirror::State;
using std::chrono::seconds;

Entry file_entry(const std::string& text, bool executable = false) {
  return Entry::file(text.size(), hash_of(text), executable);
}

// Plays the host: every message passes the real door, credit is returned, Entries are applied to `state`.
class Host {
 public:
  Host(const std::string& root, const EndpointOptions& options, std::vector<std::string> known = {}) {
    auto pair = *sys::make_socketpair();
    pid_ = fork();
    if (pid_ == 0) {
      pair.a.reset();
      const auto done = serve(pair.b.get(), pair.b.get(), options);
      _exit(done ? 0 : 1);
    }
    socket_ = std::move(pair.a);
    send(wire::HostHello{
        .root = root, .branch = "work", .object_format = "sha1", .user_name = "Ada", .user_email = "ada@example.org"});
    send(wire::Known{std::move(known), true});
  }
  ~Host() {
    if (pid_ > 0) kill_it();
  }
  void kill_it() {
    ::kill(pid_, SIGKILL);
    (void)wait_exit();
  }
  int wait_exit() {
    socket_.reset();
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  void send(const wire::Message& message) { (void)sys::write_all(socket_.get(), wire::encode(message)); }
  void send_data(wire::Id id, std::string_view bytes) {
    // In pieces, without looking at credit: the tests stay below the window.
    while (bytes.size() > wire::kMaxData) {
      send(wire::Data{.id = id, .bytes = std::string(bytes.substr(0, wire::kMaxData))});
      bytes.remove_prefix(wire::kMaxData);
    }
    send(wire::Data{.id = id, .last = true, .bytes = std::string(bytes)});
  }

  // The next message that is not Entries, Head, Data or Problem (those are noted).
  template <class T>
  T expect(seconds limit = seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (std::chrono::steady_clock::now() < deadline) {
      auto message = next(deadline);
      if (!message) break;
      if (auto* wanted = std::get_if<T>(&*message)) return std::move(*wanted);
      if (std::holds_alternative<wire::Done>(*message))
        ADD_FAILURE() << "Done: " << std::get<wire::Done>(*message).message;
    }
    ADD_FAILURE() << "the message did not come; problems: " << problems;
    return {};
  }
  // Until everything on disk is in `state`.
  void settle() {
    const wire::Id id = ++id_;
    door_.expect_barrier(id);
    send(wire::Barrier{id});
    EXPECT_EQ(expect<wire::BarrierDone>().id, id);
  }
  wire::Done put(const std::string& path, const std::string& text, const std::optional<Entry>& expected) {
    const wire::Id id = ++id_;
    door_.expect_done(id);
    asked_[id] = {path, file_entry(text)};
    send(wire::Put{id, path, file_entry(text), expected});
    send_data(id, text);
    return expect<wire::Done>();
  }
  wire::Done put(const std::string& path, const Entry& entry, const std::optional<Entry>& expected = {}) {
    const wire::Id id = ++id_;
    door_.expect_done(id);
    asked_[id] = {path, entry};
    send(wire::Put{id, path, entry, expected});
    return expect<wire::Done>();
  }
  wire::Done remove(const std::string& path, const Entry& expected) {
    const wire::Id id = ++id_;
    door_.expect_done(id);
    asked_[id] = {path, std::nullopt};
    send(wire::Remove{id, path, expected});
    return expect<wire::Done>();
  }
  // nullopt: gone or failed.
  std::optional<std::string> fetch(const std::string& path, const Entry& entry) {
    const wire::Id id = ++id_;
    door_.expect_file(id, entry.size);
    send(wire::Fetch{id, path, entry.content});
    return transfer(id);
  }
  std::optional<std::string> fetch_pack(const std::string& want, const std::vector<std::string>& haves) {
    const wire::Id id = ++id_;
    door_.expect_pack(id);
    send(wire::GitFetch{id, {want}, haves});
    return transfer(id);
  }
  wire::Done give_pack(const std::string& pack, const std::string& to, const std::string& from, const std::string& agreed = "") {
    const wire::Id id = ++id_;
    door_.expect_done(id);
    send(wire::GitPack{id, to, from, agreed});
    send_data(id, pack);
    return expect<wire::Done>();
  }
  template <class Condition>
  bool until(Condition condition, seconds limit = seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition() && next(deadline)) {
    }
    return condition();
  }

  State state;
  wire::Head head;
  int heads = 0, reports = 0;
  std::string problems;
  bool return_credit = true;

 private:
  std::optional<wire::Message> next(std::chrono::steady_clock::time_point deadline) {
    while (true) {
      auto frame = decoder_.next();
      if (!frame) {
        ADD_FAILURE() << frame.error().describe();
        return std::nullopt;
      }
      if (*frame) {
        note(**frame);
        return std::move((*frame)->message);
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !sys::wait_readable(socket_.get(), left).value_or(false)) return std::nullopt;
      std::uint8_t buffer[65536];
      const auto got = sys::read_some(socket_.get(), buffer, sizeof buffer);
      if (!got || *got == 0) return std::nullopt;
      decoder_.feed(ByteView(buffer, *got));
    }
  }
  void note(const wire::Frame& frame) {
    const auto admitted = door_.admit(frame.message, frame.payload_size, std::chrono::steady_clock::now());
    EXPECT_TRUE(admitted) << admitted.error().describe();
    if (const auto cost = wire::credit_cost(frame.message, frame.payload_size); cost > 0 && return_credit)
      send(wire::Credit{static_cast<std::uint32_t>(cost)});
    if (const auto* entries = std::get_if<wire::Entries>(&frame.message)) {
      ++reports;
      if (entries->full && entries->first) state.clear();
      for (const wire::ListedEntry& listed : entries->entries)
        mirror::apply(state, mirror::Change{listed.path, listed.entry});
    }
    if (const auto* done = std::get_if<wire::Done>(&frame.message)) {
      const auto request = asked_.extract(done->id);
      if (!request.empty() && done->status == wire::DoneStatus::kOk) mirror::record(state, request.mapped().path, request.mapped().entry);
      if (!request.empty() && done->status == wire::DoneStatus::kConflict) mirror::record(state, request.mapped().path, done->actual);
    }
    if (const auto* now = std::get_if<wire::Head>(&frame.message)) head = *now, ++heads;
    if (const auto* problem = std::get_if<wire::Problem>(&frame.message)) problems += problem->text + "\n";
  }
  std::optional<std::string> transfer(wire::Id id) {
    std::string bytes;
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    while (auto message = next(deadline)) {
      if (std::holds_alternative<wire::ContentGone>(*message) || std::holds_alternative<wire::Done>(*message))
        return std::nullopt;
      const auto* data = std::get_if<wire::Data>(&*message);
      if (data == nullptr || data->id != id) continue;
      if (data->failed) return std::nullopt;
      bytes += data->bytes;
      if (data->last) return bytes;
    }
    ADD_FAILURE() << "the transfer did not end";
    return std::nullopt;
  }

  pid_t pid_ = -1;
  sys::Fd socket_;
  wire::Decoder decoder_;
  mirror::Door door_;
  wire::Id id_ = 0;
  std::map<wire::Id, mirror::Change> asked_;  // what a path is once the answer is Ok
};

class EndpointTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    auto made = sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-endpoint");
    ASSERT_TRUE(made);
    temporary_.emplace(std::move(*made));
    fs::create_directories(root());
    options_.git = *sys::find_program("git");
    options_.cache_directory = temporary_->path() / "cache";
    options_.notes = temporary_->path() / "notes";
  }
  fs::path root() const { return temporary_->path() / "tree"; }
  fs::path outer() const { return temporary_->path() / "host"; }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root() / path).parent_path());
    std::ofstream(root() / path, std::ios::trunc) << text;
  }
  std::string read(const std::string& path) { return sys::read_file(root() / path).value_or("(absent)"); }
  std::string git(const fs::path& where, std::vector<std::string> args, std::string_view input = {}) {
    sys::ProcessSpec spec{
        .program = options_.git, .args = std::move(args), .environment = Repository::environment(), .directory = where};
    spec.environment["GIT_AUTHOR_NAME"] = spec.environment["GIT_COMMITTER_NAME"] = "A";
    spec.environment["GIT_AUTHOR_EMAIL"] = spec.environment["GIT_COMMITTER_EMAIL"] = "a@example.org";
    auto out = sys::run_ok(std::move(spec), input);
    EXPECT_TRUE(out) << out.error().describe();
    return out ? std::string(trim(*out)) : "";
  }
  // The user's repository with one commit, and the pack of it.
  std::string make_outer() {
    fs::create_directories(outer());
    git(outer(), {"init", "-q", "-b", "work"});
    return commit_outer("first.txt", "one\n");
  }
  std::string commit_outer(const std::string& path, const std::string& text) {
    std::ofstream(outer() / path, std::ios::trunc) << text;
    git(outer(), {"add", "-A"});
    git(outer(), {"commit", "-q", "-m", "x"});
    return git(outer(), {"rev-parse", "HEAD"});
  }
  std::string pack_outer(const std::string& revisions) {
    sys::ProcessSpec spec{.program = options_.git,
                          .args = {"pack-objects", "--revs", "--stdout", "--thin", "-q"},
                          .environment = Repository::environment(),
                          .directory = outer()};
    return sys::run_ok(std::move(spec), revisions).value_or("");
  }

  std::optional<sys::TemporaryDirectory> temporary_;
  EndpointOptions options_;
};

TEST_F(EndpointTest, ReportsEverythingThenWhatChanges) {
  write("a/b", "text");
  Host host(root(), options_);
  host.settle();
  EXPECT_EQ(host.state, (State{{"a", Entry::directory()}, {"a/b", file_entry("text")}}));
  write("a/b", "more");
  write("new/deep/file", "x");
  EXPECT_TRUE(
      host.until([&] { return host.state.contains("new/deep/file") && host.state.at("a/b") == file_entry("more"); }));
  fs::remove_all(root() / "new");
  host.settle();
  EXPECT_EQ(host.state, (State{{"a", Entry::directory()}, {"a/b", file_entry("more")}}));
}

TEST_F(EndpointTest, TheBarrierCoversAllThatWasOnDisk) {
  Host host(root(), options_);
  std::mt19937 random(3);
  for (int round = 0; round < 15; ++round) {
    for (int i = 0; i < 20; ++i)
      write("d" + std::to_string(random() % 5) + "/e" + std::to_string(random() % 3) + "/f" + std::to_string(i),
            std::to_string(random()));
    if (round % 4 == 3) fs::remove_all(root() / "d1");
    if (round % 4 == 2) fs::rename(root() / "d2", root() / ("moved" + std::to_string(round)));
    host.settle();
    State disk;
    for (const auto& item : fs::recursive_directory_iterator(root())) {
      const std::string path = fs::relative(item.path(), root());
      disk[path] = item.is_directory() ? Entry::directory() : file_entry(read(path));
    }
    ASSERT_EQ(host.state, disk) << "round " << round;
  }
}

TEST_F(EndpointTest, AppliesUnderPreconditionsWithoutEcho) {
  Host host(root(), options_);
  host.settle();
  const int before = host.reports;
  EXPECT_EQ(host.put("d/f", "text", {}).status, wire::DoneStatus::kOk);
  EXPECT_EQ(host.put("e", Entry::directory()).status, wire::DoneStatus::kOk);
  EXPECT_EQ(host.put("d/l", Entry::symlink("f")).status, wire::DoneStatus::kOk);
  const std::string large(3'00'000, 'x');
  EXPECT_EQ(host.put("large", large, {}).status, wire::DoneStatus::kOk);
  host.settle();
  EXPECT_EQ(host.reports, before);  // no echo of our own writes
  EXPECT_EQ(read("large"), large);

  write("d/f", "agent");
  const wire::Done lost = host.put("d/f", "host", file_entry("text"));
  EXPECT_EQ(lost.status, wire::DoneStatus::kConflict);
  EXPECT_EQ(lost.actual, file_entry("agent"));
  EXPECT_EQ(host.put("../x", "evil", {}).status, wire::DoneStatus::kFailed);
  EXPECT_EQ(host.remove("d/f", file_entry("agent")).status, wire::DoneStatus::kOk);
  EXPECT_FALSE(fs::exists(root() / "d/f"));
}

// What an answer said of a path counts as told: only what differs from that is worth a word, and that always is.
TEST_F(EndpointTest, WhatAnAnswerSaidIsWhatTheNextReportIsAbout) {
  options_.quiet = options_.at_most = std::chrono::seconds(60);  // only barriers look
  write("file", "one");
  write("other", "one");
  fs::create_directory(root() / "d");
  Host host(root(), options_);
  host.settle();
  const State before = host.state;

  write("file", "agent's");
  EXPECT_EQ(host.put("file", "host's", file_entry("one")).status, wire::DoneStatus::kConflict);
  EXPECT_EQ(host.state.at("file"), file_entry("agent's"));
  fs::remove(root() / "other");
  EXPECT_EQ(host.put("other", "host's", file_entry("one")).status, wire::DoneStatus::kConflict);
  EXPECT_FALSE(host.state.contains("other"));
  write("new", "agent's");
  EXPECT_EQ(host.put("new", Entry::symlink("file")).status, wire::DoneStatus::kConflict);
  write("file", "one");
  write("other", "one");
  fs::remove(root() / "new");
  host.settle();
  EXPECT_EQ(host.state, before);

  // A file that was reported is gone again before the directory above it is removed.
  write("d/x", "agent's");
  host.settle();
  EXPECT_TRUE(host.state.contains("d/x"));
  fs::remove(root() / "d/x");
  EXPECT_EQ(host.remove("d", Entry::directory()).status, wire::DoneStatus::kOk);
  host.settle();
  EXPECT_EQ(host.state, (State{{"file", file_entry("one")}, {"other", file_entry("one")}}));
}

TEST_F(EndpointTest, ServesContentsWithinTheWindow) {
  const std::string large(20 << 20, 'y');
  write("large", large);
  write("empty", "");
  Host host(root(), options_);
  host.settle();
  EXPECT_EQ(host.fetch("large", file_entry(large)), large);
  EXPECT_EQ(host.fetch("empty", file_entry("")), "");
  EXPECT_EQ(host.fetch("empty", Entry::file(3, hash_of("not"))), std::nullopt);
  EXPECT_EQ(host.fetch("absent", file_entry("x")), std::nullopt);
  fs::remove(root() / "large");
  EXPECT_EQ(host.fetch("large", file_entry(large)), std::nullopt);
}

TEST_F(EndpointTest, WithoutCreditItStopsSendingButNotWorking) {
  const std::string large(20 << 20, 'y');
  write("large", large);
  Host host(root(), options_);
  host.settle();
  host.return_credit = false;
  host.send(wire::Fetch{1000, "large", hash_of(large)});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  // The door does not know id 1000, so nothing is read here: only the far end's memory and its other work matter.
  EXPECT_TRUE(fs::exists(root() / "large"));
  host.send(wire::Put{1001, "still", Entry::directory(), {}});
  for (int i = 0; i < 200 && !fs::exists(root() / "still"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  EXPECT_TRUE(fs::exists(root() / "still"));
}

TEST_F(EndpointTest, CommitsTravelBothWays) {
  const std::string first = make_outer();
  Host host(root(), options_);
  host.settle();
  EXPECT_EQ(host.head.oid, "");
  // The initial clone, through the protocol.
  EXPECT_EQ(host.give_pack(pack_outer(first + "\n"), first, "").status, wire::DoneStatus::kOk);
  host.settle();
  EXPECT_EQ(host.head.oid, first);
  EXPECT_EQ(host.head.current, "work");
  EXPECT_EQ(read("first.txt"), "one\n");
  EXPECT_TRUE(host.state.contains("first.txt"));
  EXPECT_EQ(git(root(), {"status", "--porcelain"}), "");
  EXPECT_EQ(git(root(), {"config", "user.email"}), "ada@example.org");

  // The agent commits; the host fetches it.
  write("second.txt", "two\n");
  git(root(), {"add", "-A"});
  git(root(), {"commit", "-q", "-m", "inside"});
  const std::string second = git(root(), {"rev-parse", "HEAD"});
  EXPECT_TRUE(host.until([&] { return host.head.oid == second; }));
  const auto pack = host.fetch_pack(second, {first, std::string(40, 'b')});
  ASSERT_TRUE(pack);
  git(outer(), {"index-pack", "--stdin", "--fix-thin", "--strict"}, *pack);
  git(outer(), {"merge", "-q", "--ff-only", second});
  EXPECT_FALSE(host.fetch_pack(std::string(40, 'a'), {}));

  // The user commits; something is staged inside meanwhile.
  write("staged.txt", "mine\n");
  git(root(), {"add", "staged.txt"});
  const std::string third = commit_outer("first.txt", "changed\n");
  EXPECT_EQ(host.put("first.txt", "changed\n", file_entry("one\n")).status, wire::DoneStatus::kOk);
  EXPECT_EQ(host.give_pack(pack_outer(third + "\n^" + second + "\n"), third, second).status, wire::DoneStatus::kOk);
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), third);
  EXPECT_EQ(git(root(), {"status", "--porcelain"}), "A  staged.txt");

  // A move from elsewhere is refused.
  EXPECT_EQ(host.give_pack(pack_outer(third + "\n"), second, first).status, wire::DoneStatus::kConflict);
  EXPECT_EQ(host.give_pack("not a pack", std::string(40, 'c'), third).status, wire::DoneStatus::kFailed);
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), third);
}

// A git that was killed has left its locks. As long as any git runs they may be somebody's.
TEST_F(EndpointTest, DeadLocksAreTakenAwayAndLivingOnesAreNot) {
  options_.dead_lock_after = std::chrono::milliseconds(50);
  const std::string first = make_outer();
  Host host(root(), options_);
  ASSERT_EQ(host.give_pack(pack_outer(first + "\n"), first, "").status, wire::DoneStatus::kOk);
  const std::string second = commit_outer("first.txt", "changed\n");
  ASSERT_EQ(host.put("first.txt", "changed\n", file_entry("one\n")).status, wire::DoneStatus::kOk);
  const std::string pack = pack_outer(second + "\n^" + first + "\n");
  write("staged.txt", "the agent's\n");
  git(root(), {"add", "staged.txt"});
  write(".git/refs/heads/work.lock", "");
  write(".git/index.lock", "half an ind");

  auto pipe = *sys::make_pipe();
  auto living = *sys::spawn({.program = options_.git, .args = {"cat-file", "--batch"}, .environment = Repository::environment(), .directory = root(), .in = pipe.read.get()});
  for (int i = 0; i < 3; ++i) {
    const wire::Done refused = host.give_pack(pack, second, first);
    EXPECT_EQ(refused.status, wire::DoneStatus::kWaiting);
    EXPECT_NE(refused.message.find("index.lock"), std::string::npos) << refused.message;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_TRUE(fs::exists(root() / ".git/refs/heads/work.lock"));
  (void)living.stop(seconds(5));

  // Other tests on this machine may run a git as well: it takes a moment in which none does.
  bool taken = false;
  for (int i = 0; i < 200 && !taken; ++i) {
    taken = host.give_pack(pack, second, first).status == wire::DoneStatus::kOk;
    if (!taken) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  ASSERT_TRUE(taken);
  EXPECT_FALSE(fs::exists(root() / ".git/refs/heads/work.lock"));
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), second);
  // The branch has moved; its index follows once that lock has gone too.
  const auto behind = [&] { return fs::exists(root() / ".git/index.lock") || fs::exists(root() / ".git/locki-index-behind"); };
  for (int i = 0; i < 600 && behind(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(behind());
  host.settle();
  EXPECT_EQ(git(root(), {"status", "--porcelain"}), "A  staged.txt");
  EXPECT_EQ(host.problems, "");  // nothing is wrong any more
}

TEST(RewrittenCommit, KeepsAllButTreeParentAndSignature) {
  const std::string raw = "tree 1\nparent 2\nauthor A <a@b> 1 +0000\ncommitter C <c@d> 2 -0100\nencoding ISO-8859-1\ngpgsig -----BEGIN\n x\n \n -----END\nodd header\n\nwords\n\ntree of \xe4\n";
  EXPECT_EQ(rewritten_commit(raw, "7", "8"), "tree 7\nparent 8\nauthor A <a@b> 1 +0000\ncommitter C <c@d> 2 -0100\nencoding ISO-8859-1\nodd header\n\nwords\n\ntree of \xe4\n");
  EXPECT_EQ(rewritten_commit("nothing", "7", "8"), "");
  EXPECT_EQ(rewritten_commit("tree 1\n", "7", "8"), "");
}

// Both have committed since they agreed. The host knows nothing of what is inside.
TEST_F(EndpointTest, WhatIsBeyondTheAgreedIsPutOnTop) {
  const std::string first = make_outer();
  Host host(root(), options_);
  ASSERT_EQ(host.give_pack(pack_outer(first + "\n"), first, "").status, wire::DoneStatus::kOk);
  write("second.txt", "two\n");
  git(root(), {"add", "-A"});
  git(root(), {"commit", "-q", "-m", "inside"});
  const std::string second = commit_outer("third.txt", "three\n");
  const wire::Done done = host.give_pack(pack_outer(second + "\n^" + first + "\n"), second, first, first);
  EXPECT_EQ(done.status, wire::DoneStatus::kOk) << done.message;
  EXPECT_EQ(done.replayed, 1U);
  const std::string tip = git(root(), {"rev-parse", "work"});
  EXPECT_EQ(host.head.oid, tip) << "said before the answer";
  EXPECT_EQ(git(root(), {"rev-parse", "work~1"}), second);
  EXPECT_EQ(git(root(), {"diff", "--cached", "--name-only"}), "");
  // Again, as after an answer that was lost: there is nothing to be done.
  EXPECT_EQ(host.give_pack("", second, first, first).status, wire::DoneStatus::kOk);
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), tip);

  // What does not go together stays as it is, until the host says that its own is to stand.
  write("first.txt", "the agent's\n");
  git(root(), {"commit", "-q", "-a", "-m", "clash"});
  const std::string theirs = git(root(), {"rev-parse", "work"});
  const std::string third = commit_outer("first.txt", "the user's\n");
  const wire::Done clash = host.give_pack(pack_outer(third + "\n^" + second + "\n"), third, theirs, tip);
  EXPECT_EQ(clash.status, wire::DoneStatus::kClash);
  EXPECT_NE(clash.message.find("first.txt"), std::string::npos) << clash.message;
  EXPECT_NE(clash.message.find(theirs.substr(0, 12)), std::string::npos) << clash.message;
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), theirs);
  EXPECT_EQ(host.give_pack("", third, theirs).status, wire::DoneStatus::kOk);
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), third);

  // In the middle of something nothing moves.
  const std::string fourth = commit_outer("fourth.txt", "four\n");
  write(".git/MERGE_HEAD", theirs + "\n");
  const wire::Done waiting = host.give_pack(pack_outer(fourth + "\n^" + third + "\n"), fourth, third, third);
  EXPECT_EQ(waiting.status, wire::DoneStatus::kWaiting);
  EXPECT_NE(waiting.message.find("a merge"), std::string::npos) << waiting.message;
  fs::remove(root() / ".git/MERGE_HEAD");
  EXPECT_EQ(host.give_pack("", fourth, third, third).status, wire::DoneStatus::kOk);
  EXPECT_EQ(git(root(), {"rev-parse", "work"}), fourth);
}

TEST_F(EndpointTest, AnotherBranchCheckedOutIsLeftAlone) {
  const std::string first = make_outer();
  Host host(root(), options_);
  EXPECT_EQ(host.give_pack(pack_outer(first + "\n"), first, "").status, wire::DoneStatus::kOk);
  git(root(), {"checkout", "-q", "-b", "elsewhere"});
  EXPECT_TRUE(host.until([&] { return host.head.current == "elsewhere"; }));
  EXPECT_EQ(host.head.other_refs, 1U);
  const std::string second = commit_outer("second.txt", "x");
  EXPECT_EQ(host.give_pack(pack_outer(second + "\n^" + first + "\n"), second, first).status, wire::DoneStatus::kOk);
  EXPECT_EQ(git(root(), {"rev-parse", "elsewhere"}), first);
  EXPECT_EQ(git(root(), {"status", "--porcelain"}), "");
}

TEST_F(EndpointTest, IgnoredFilesStayInside) {
  git(root(), {"init", "-q", "-b", "work"});
  write(".gitignore", "node_modules\n*.log\n");
  write("node_modules/p/index.js", "x");
  Host host(root(), options_, {"kept.log"});
  host.settle();
  write("node_modules/q/index.js", "x");
  write("debug.log", "x");
  write("kept.log", "x");
  write("src/main.c", "x");
  write("src/main.log", "x");
  host.settle();
  EXPECT_EQ(host.state, (State{{".gitignore", file_entry("node_modules\n*.log\n")},
                               {"kept.log", file_entry("x")},
                               {"src", Entry::directory()},
                               {"src/main.c", file_entry("x")}}));
  // The agent commits an ignored file by force: now it travels.
  git(root(), {"add", "-f", "debug.log"});
  git(root(), {"commit", "-q", "-m", "x"});
  EXPECT_TRUE(host.until([&] { return host.state.contains("debug.log"); }));
}

TEST_F(EndpointTest, ADeletedRootEndsTheSessionInsteadOfEmptyingTheHost) {
  write("a", "x");
  Host host(root(), options_);
  host.settle();
  fs::rename(root(), temporary_->path() / "away");
  EXPECT_TRUE(host.until([&] { return !host.problems.empty(); }));
  EXPECT_TRUE(host.state.contains("a"));
  EXPECT_NE(host.wait_exit(), 0);
  // Nor does a new session make an empty one in its place.
  Host again(root(), options_, {"a"});
  EXPECT_TRUE(again.until([&] { return !again.problems.empty(); }));
  EXPECT_EQ(again.reports, 0);
  EXPECT_FALSE(fs::exists(root()));
}

TEST_F(EndpointTest, EndsWhenTheHostGoes) {
  Host host(root(), options_);
  host.settle();
  const int status = host.wait_exit();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(EndpointTest, NoisesEndTheSession) {
  Host host(root(), options_);
  host.settle();
  host.send(wire::FarHello{});
  const int status = host.wait_exit();
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST_F(EndpointTest, SurvivesBeingKilledWhileApplying) {
  std::mt19937 random(5);
  const auto content = [](int i) { return std::string(60'000, static_cast<char>('a' + i % 26)); };
  for (int round = 0; round < 8; ++round) {
    {
      Host host(root(), options_);
      host.settle();
      for (int i = 0; i < 20; ++i) {
        host.send(wire::Put{static_cast<wire::Id>(100 + i), "d/f" + std::to_string(i), file_entry(content(i)), {}});
        host.send(wire::Data{.id = static_cast<wire::Id>(100 + i), .last = true, .bytes = content(i)});
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 15'000));
      host.kill_it();
    }
    for (int i = 0; i < 20; ++i) {
      const std::string now = read("d/f" + std::to_string(i));
      ASSERT_TRUE(now == content(i) || now == "(absent)");
    }
    Host host(root(), options_);
    host.settle();
    for (const auto& item : fs::recursive_directory_iterator(root()))
      ASSERT_FALSE(item.path().filename().native().starts_with(".locki-tmp-")) << item.path();
    for (int i = 0; i < 20; ++i)
      ASSERT_EQ(host.put("d/f" + std::to_string(i), content(i), {}).status, wire::DoneStatus::kOk);
    for (int i = round % 2; i < 20; i += 2)
      ASSERT_EQ(host.remove("d/f" + std::to_string(i), file_entry(content(i))).status, wire::DoneStatus::kOk);
  }
}

TEST_F(EndpointTest, WritesNotes) {
  Host host(root(), options_);
  host.send(wire::Note{"your change to x\x1b[31m lost"});
  host.settle();
  EXPECT_EQ(*sys::read_file(options_.notes), "your change to x\\x1b[31m lost\n");
}

TEST_F(EndpointTest, ManyFilesAtOnce) {
  Host host(root(), options_);
  host.settle();
  for (int i = 0; i < 1500; ++i) write("m" + std::to_string(i % 30) + "/f" + std::to_string(i), std::to_string(i));
  host.settle();
  EXPECT_EQ(host.state.size(), 1530U);
}

// ---- the initial clone ----

class InitCloneTest : public EndpointTest {
 protected:
  InitClone clone(const std::string& oid) {
    return {.repository = {.git = options_.git,
                           .root = root(),
                           .branch = "work",
                           .user_name = "Ada",
                           .user_email = "ada@example.org"},
            .oid = oid,
            .helper_directory = temporary_->path() / "bin"};
  }
  Result<> make(const std::string& oid, const std::string& pack) {
    std::ofstream(temporary_->path() / "pack", std::ios::trunc) << pack;
    const auto fd = sys::open_file(temporary_->path() / "pack", O_RDONLY);
    return init_clone(fd->get(), clone(oid));
  }
};

TEST_F(InitCloneTest, MakesAWorkingClone) {
  const std::string tip = make_outer();
  const auto made = make(tip, pack_outer(tip + "\n"));
  ASSERT_TRUE(made) << made.error().describe();
  EXPECT_EQ(read("first.txt"), "one\n");
  EXPECT_EQ(git(root(), {"rev-parse", "HEAD"}), tip);
  EXPECT_EQ(git(root(), {"symbolic-ref", "--short", "HEAD"}), "work");
  EXPECT_EQ(git(root(), {"status", "--porcelain", "--ignored"}), "");
  EXPECT_EQ(git(root(), {"config", "user.name"}), "Ada");
  EXPECT_EQ(git(root(), {"fsck", "--strict"}), "");
  EXPECT_EQ(make(tip, "").error().kind(), ErrorKind::kExists);
}

TEST_F(InitCloneTest, GoesOnAfterBeingCutShort) {
  const std::string tip = make_outer();
  const std::string pack = pack_outer(tip + "\n");
  EXPECT_FALSE(make(tip, pack.substr(0, pack.size() / 2)));
  const auto made = make(tip, pack);
  ASSERT_TRUE(made) << made.error().describe();
  EXPECT_EQ(git(root(), {"status", "--porcelain"}), "");
}

TEST_F(InitCloneTest, PushSaysInOneLineHowWorkGetsOut) {
  const std::string tip = make_outer();
  ASSERT_TRUE(make(tip, pack_outer(tip + "\n")));
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"push"}, {"push", "origin", "HEAD"}, {"fetch"}, {"pull"}}) {
    sys::ProcessSpec spec{
        .program = options_.git, .args = words, .environment = Repository::environment(), .directory = root()};
    spec.environment["PATH"] = (temporary_->path() / "bin").native() + ":" + spec.environment["PATH"];
    const auto output = sys::run(std::move(spec));
    ASSERT_TRUE(output);
    EXPECT_FALSE(output->exit.ok());
    EXPECT_EQ(output->err, "fatal: remote error: locki: commits arrive on the host's branch by themselves; push from the host\n")
        << words.front();
  }
  const auto gh = sys::run({.program = temporary_->path() / "bin/gh", .args = {"pr", "create"}, .environment = Repository::environment()});
  ASSERT_TRUE(gh);
  EXPECT_FALSE(gh->exit.ok());
  EXPECT_EQ(gh->err.find('\n'), gh->err.size() - 1) << gh->err;
}

TEST_F(InitCloneTest, TheProgramIsStatic) {
  const fs::path program = fs::path(LOCKI_BINARY_DIR) / "libexec/locki/endpoint";
  if (!fs::exists(program)) GTEST_SKIP() << "not built: " << program;
  sys::ProcessSpec spec{.program = program, .args = {"--version"}};
  EXPECT_TRUE(sys::run_ok(spec)->starts_with("endpoint "));
  const std::string elf = *sys::read_file(program, 64 << 20);
  EXPECT_EQ(elf.find("/ld-linux"), std::string::npos);  // no interpreter
  EXPECT_LT(elf.size(), 4U << 20);
}

}  // namespace
}  // namespace locki::endpoint
