// Both real programs of the mirror, worker and endpoint, joined by a socket pair over two directories; the test plays
// the daemon. Everything lies in one temporary directory.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "git/worktree.h"
#include "mirror/control.h"
#include "mirror/held.h"
#include "mirror/history.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace locki::mirror::test {

namespace fs = std::filesystem;
using std::chrono::seconds;
using std::chrono::steady_clock;

inline void write(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}
inline std::string read(const fs::path& path) {
  const auto content = sys::read_file(path);
  return content ? *content : "<" + std::string(to_string(content.error().kind())) + ">";
}
// Path -> what can be told apart about it; without .git.
inline std::map<std::string, std::string> listing(const fs::path& root) {
  std::map<std::string, std::string> out;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const auto name = it->path().lexically_relative(root).string();
    if (it->path().filename() == ".git") {
      it.disable_recursion_pending();
    } else if (it->is_symlink()) {
      out[name] = "link " + fs::read_symlink(it->path()).string();
    } else if (it->is_directory()) {
      out[name] = "directory";
    } else {
      struct stat st {};
      (void)::lstat(it->path().c_str(), &st);
      out[name] = ((st.st_mode & S_IXUSR) != 0 ? "program " : "file ") + hash_of(read(it->path())).to_hex();
    }
  }
  return out;
}

// Of what somebody may do to a file's name: 0 removes it, 1 its directory, 2 renames it. False: none of these.
inline bool take_away(const fs::path& at, std::size_t how) {
  std::error_code ignored;
  if (how == 0) fs::remove(at, ignored);
  if (how == 1) fs::remove_all(at.parent_path(), ignored);
  if (how == 2) fs::rename(at, at.string() + "r", ignored);
  return how <= 2;
}

class MirrorPair {
 public:
  // Where each side's disk is; empty: one temporary directory for both.
  struct Disks {
    fs::path host, far;
  };
  explicit MirrorPair(bool endpoint = true, Disks disks = {})
      : directory_(std::move(*sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-mirror"))),
        disks_(disks.host.empty() ? Disks{directory_.path(), directory_.path()} : disks),
        with_endpoint_(endpoint) {
    program_ = *git::find_git(path("home").string());
    fs::create_directory(path("home"));
    fs::create_directory(path("repo"));
    git(path("repo"), {"init", "-q", "-b", "main"});
    git(path("repo"), {"config", "--global", "user.name", "Human"});
    git(path("repo"), {"config", "--global", "user.email", "human@example.org"});
    write(path("repo") / "README", "one\ntwo\nthree\nfour\nfive\n");
    write(path("repo") / ".gitignore", "ignored/\n.env\n");
    git(path("repo"), {"add", "-A"});
    git(path("repo"), {"commit", "-q", "-m", "first"});
    const auto added = git::add_worktree(repository(), {host(), "topic"});
    EXPECT_TRUE(added.has_value()) << (added ? "" : added.error().describe());
  }
  ~MirrorPair() {
    if (::testing::Test::HasFailure()) {
      std::string text = read(path("log"));
      if (text.size() > 6000) text.erase(0, text.size() - 6000);
      std::fprintf(stderr, "%s\n", text.c_str());
    }
  }

  fs::path path(const std::string& name) const {
    const bool far = name == "inside" || name == "cache" || name == "notes" || name == "aside" || name == "inside-home";
    return (far ? disks_.far : disks_.host) / name;
  }
  fs::path host() const { return path("worktree"); }
  fs::path inside() const { return path("inside"); }
  git::Repository repository() const { return *git::Repository::discover(program_, path("repo")); }
  History history() const { return *History::open_existing(program_, path("state") / "history"); }

  std::string git(const fs::path& where, std::vector<std::string> args) const {
    sys::ProcessSpec spec{.program = program_.git,
                          .args = std::move(args),
                          .environment = sys::clean_environment(),
                          .directory = where.string()};
    spec.environment["HOME"] = path("home").string();
    auto out = sys::run_ok(spec);
    EXPECT_TRUE(out.has_value()) << (out ? "" : out.error().describe());
    return out ? std::string(trim(*out)) : "";
  }
  // One that may meet the mirror's own at work, as anybody's may.
  bool try_git(const fs::path& where, std::vector<std::string> args) const {
    sys::ProcessSpec spec{.program = program_.git, .args = std::move(args), .environment = sys::clean_environment(), .directory = where.string()};
    spec.environment["HOME"] = path("home").string();
    spec.environment["GIT_EDITOR"] = "true";
    return sys::run_ok(spec).has_value();
  }
  std::string commit(const fs::path& where, const std::string& message) const {
    git(where, {"add", "-A"});
    git(where, {"commit", "-q", "--allow-empty", "-m", message});
    return git(where, {"rev-parse", "HEAD"});
  }

  void start() {
    auto stream = dial ? sys::SocketPair{} : *sys::make_socketpair();
    auto control = *sys::make_socketpair();
    auto log = *sys::open_file(path("log"), O_WRONLY | O_CREAT | O_APPEND);
    if (with_endpoint_) {
      sys::ProcessSpec far{.program = LOCKI_ENDPOINT,
                           .args = {"--cache", path("cache").string(), "--notes", path("notes").string(), "--aside", path("aside").string()},
                           .environment = sys::clean_environment(),
                           .in = stream.b.get(),
                           .out = stream.b.get(),
                           .err = log.get()};
      far.environment["HOME"] = path("inside-home").string();
      if (!far_boot.empty()) far.environment["LOCKI_BOOT_ID"] = far_boot;
      if (!far_fault.empty()) far.environment["LOCKI_FAULT"] = far_fault;
      if (dial) stream.a = dialled(std::move(far));
      else endpoint_ = *sys::spawn(far);
    } else {
      far_ = std::move(stream.b);
    }
    auto worker = worker_spec(fs::path(LOCKI_MIRROR).parent_path(), stream.a.get(), control.a.get(), log.get());
    if (!host_boot.empty()) worker.environment["LOCKI_BOOT_ID"] = host_boot;
    if (!fault.empty()) worker.environment["LOCKI_FAULT"] = fault;
    worker_ = *sys::spawn(worker);
    control_ = std::move(control.b);
    in_.clear();
    say({{"start", to_json(settings())}});
  }
  StartSettings settings() const {
    return {.sandbox = "test",
            .instance = instance,
            .cloned = cloned,
            .worktree = host().string(),
            .inside = inside().string(),
            .state = path("state").string(),
            .branch = "topic",
            .git = program_.git,
            .home = path("home").string(),
            .user_name = "Human",
            .user_email = "human@example.org",
            .hold_rules = read(fs::path(LOCKI_SOURCE_DIR) / "share/review/held.rules"),
            .hold = hold,
            .allow = allow};
  }
  void kill_worker() {
    (void)worker_.signal(9);
    (void)worker_.wait();
    finish_endpoint();
  }
  void kill_endpoint() {
    (void)endpoint_.signal(9);
    (void)endpoint_.wait();
    (void)wait_worker();
  }
  sys::Exit stop() {
    say({{"request", "stop"}, {"id", 1}});
    const auto exit = wait_worker();
    finish_endpoint();
    return exit;
  }
  sys::Exit wait_worker() {
    // Whoever writes must not wait for us.
    while (line(seconds(120))) {
    }
    const auto exit = worker_.wait_for(seconds(120));
    EXPECT_TRUE(exit && *exit) << "the worker does not end";
    return exit && *exit ? **exit : sys::Exit{.status = -1};
  }
  sys::Exit wait_endpoint() {
    const auto exit = endpoint_.wait_for(seconds(120));
    EXPECT_TRUE(exit && *exit) << "the endpoint does not end";
    return exit && *exit ? **exit : sys::Exit{.status = -1};
  }
  // What says to a far end that dialled that it is not wanted any more.
  void drop_lifeline() { lifeline_.reset(); }
  int far_fd() const { return far_.get(); }
  pid_t worker() const { return worker_.pid(); }

  // Both sides agree on everything that was on disk at the call. False when the mirror ended instead, or it took too
  // long.
  bool sync(seconds timeout = seconds(240)) {
    const std::int64_t id = ++last_id_;
    say({{"request", "sync"}, {"id", id}});
    const auto deadline = steady_clock::now() + timeout;
    while (auto got = line(deadline - steady_clock::now())) {
      if (json::int_or(*got, "reply") != id) continue;
      stuck.clear();
      branch_stuck = json::string_or(*got, "branch");
      if (const auto* paths = json::array_or_null(*got, "blocked")) {
        for (const auto& item : *paths) stuck.push_back(json::string_or(item.get_object(), "path"));
      }
      return json::bool_or(*got, "ok");
    }
    return false;
  }
  // Asks the worker to let held files in: path and content_id().
  bool accept(const std::vector<std::pair<std::string, std::string>>& wanted) {
    const std::int64_t id = ++last_id_;
    json::array list;
    for (const auto& [file, content] : wanted) list.push_back(json::object{{"path", file}, {"content", content}});
    say({{"request", "accept"}, {"id", id}, {"files", std::move(list)}});
    while (auto got = line(seconds(60))) {
      if (json::int_or(*got, "reply") == id) return json::bool_or(*got, "ok");
    }
    return false;
  }
  // What was agreed is on the disks of both sides.
  bool durable(seconds timeout = seconds(60)) {
    for (const auto deadline = steady_clock::now() + timeout; steady_clock::now() < deadline; ::usleep(50'000)) {
      const auto now = reply(request({{"request", "status"}}));
      if (now && json::bool_or(*now, "durable") && json::string_or(*now, "state") == "quiet") return true;
    }
    return false;
  }
  static void flush(const fs::path& place) {
    const auto fd = sys::open_file(place, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(fd && ::syncfs(fd->get()) == 0);
  }
  // The clone inside, as the daemon has it made before the mirror starts.
  void clone() {
    cloned = git(path("repo"), {"rev-parse", "topic"});
    git(disks_.far, {"clone", "-q", "-b", "topic", path("repo").string(), inside().string()});
    git(inside(), {"remote", "remove", "origin"});
  }
  // Any request of the daemon's; its answer.
  std::int64_t request(json::object line) {
    line["id"] = ++last_id_;
    say(line);
    return last_id_;
  }
  std::optional<json::object> reply(std::int64_t id, seconds timeout = seconds(120)) {
    const auto deadline = steady_clock::now() + timeout;
    while (auto got = line(deadline - steady_clock::now())) {
      if (json::int_or(*got, "reply") == id) return got;
    }
    return std::nullopt;
  }
  // What is held now, by path.
  std::map<std::string, HeldFile> held() const {
    std::map<std::string, HeldFile> out;
    auto files = HeldStore::read(path("state"));
    EXPECT_TRUE(files.has_value());
    if (files)
      for (HeldFile& file : *files) out[file.path] = file;
    return out;
  }
  // The paths of the last sync's answer that could not be carried.
  std::vector<std::string> stuck;
  std::string branch_stuck;  // why the branch could not

  // Waits for an event that was not taken yet.
  std::optional<Event> event(const std::string& kind, seconds timeout = seconds(120)) {
    const auto deadline = steady_clock::now() + timeout;
    for (;;) {
      for (auto it = events.begin(); it != events.end(); ++it) {
        if (it->kind != kind) continue;
        Event found = *it;
        events.erase(it);
        return found;
      }
      if (!line(deadline - steady_clock::now())) return std::nullopt;
    }
  }
  bool saw(const std::string& kind) const {
    return std::any_of(events.begin(), events.end(), [&](const Event& event) { return event.kind == kind; });
  }

  bool dial = false;  // the far end connects, instead of being given a socket pair
  // Where the next worker, or endpoint, is killed (sys/fault.h).
  std::string fault, far_fault;
  std::vector<Event> events;
  std::string instance = "one";
  std::string cloned;               // the commit that the clone inside was made from
  std::string host_boot, far_boot;  // stand in for the kernel's; another one than before: that side was started anew
  std::vector<std::string> hold, allow;  // the user's own patterns

 private:
  // The daemon's end of the connection of a far end that is started here.
  sys::Fd dialled(sys::ProcessSpec far) {
    sys::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    auto pipe = *sys::make_pipe();
    far.args.insert(far.args.end(), {"--dial", "127.0.0.1:" + std::to_string(ntohs(address.sin_port))});
    far.in = pipe.read.get();
    far.out = far.err;
    endpoint_ = *sys::spawn(far);
    lifeline_ = std::move(pipe.write);
    const std::string token(64, 't');
    (void)sys::write_all(lifeline_.get(), token);
    auto connection = sys::accept_connection(listener.get());
    EXPECT_TRUE(connection) << "the endpoint does not dial";
    if (!connection) return {};
    Bytes said(token.size());
    EXPECT_TRUE(sys::read_exact(connection->get(), said.data(), said.size()));
    EXPECT_EQ(as_text(said), token);
    return std::move(*connection);
  }
  void say(const json::object& line) { (void)sys::write_all(control_.get(), json::serialize(line) + "\n"); }
  void finish_endpoint() {
    if (endpoint_.running()) (void)endpoint_.stop(seconds(60));
  }
  std::optional<json::object> line(steady_clock::duration timeout) {
    const auto deadline = steady_clock::now() + timeout;
    for (;;) {
      if (const auto end = in_.find('\n'); end != std::string::npos) {
        auto parsed = json::parse_object(in_.substr(0, end));
        in_.erase(0, end + 1);
        if (!parsed) return std::nullopt;
        if (auto event = event_from_json(*parsed)) events.push_back(*event);
        return *parsed;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
      const auto readable = sys::wait_readable(control_.get(), std::max(left, std::chrono::milliseconds(0)));
      if (!readable || !*readable) return std::nullopt;
      std::uint8_t buffer[4096];
      const auto n = sys::read_some(control_.get(), buffer, sizeof buffer);
      if (!n || *n == 0) return std::nullopt;
      in_.append(as_text(ByteView(buffer, *n)));
    }
  }

  sys::TemporaryDirectory directory_;
  Disks disks_;
  bool with_endpoint_;
  git::Program program_;
  sys::Child worker_, endpoint_;
  sys::Fd control_, far_, lifeline_;
  std::string in_;
  std::int64_t last_id_ = 100;
};

}  // namespace locki::mirror::test
