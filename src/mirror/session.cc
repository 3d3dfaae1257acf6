#include "mirror/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "mirror/confine.h"
#include "mirror/session_impl.h"
#include "sys/limits.h"

namespace locki::mirror {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kQuiet{25};    // host changes are taken up after this long without new ones …
constexpr milliseconds kAtMost{200};  // … or this long after the first
constexpr milliseconds kRefLook{300};
// Nothing moves, and what will is watched: five wake-ups a minute, for what a watch may have missed.
constexpr milliseconds kCalmAfter{5000}, kCalmLook{12'000};
constexpr milliseconds kRecord{1000};
constexpr milliseconds kFullScan{5000};  // while not every directory can be watched
constexpr milliseconds kSettles{10'000};  // how long a path may be in the way before a sync takes it for lasting
constexpr milliseconds kRetryForSync{500};
constexpr std::size_t kMaxControlLine = 4 << 20;
constexpr std::size_t kRecordAtOnce = 1000;

// git for ignore rules, in the form Tree wants: the overrides of git::command() as environment.
std::map<std::string, std::string> tree_environment(const git::Program& program) {
  auto environment = git::command(program, git::Config::kUser, "/", {}).environment;
  const std::pair<const char*, const char*> overrides[] = {
      {"core.hooksPath", "/dev/null"}, {"core.fsmonitor", "false"}, {"protocol.allow", "never"}};
  int n = 0;
  for (const auto& [key, value] : overrides) {
    environment["GIT_CONFIG_KEY_" + std::to_string(n)] = key;
    environment["GIT_CONFIG_VALUE_" + std::to_string(n)] = value;
    ++n;
  }
  environment["GIT_CONFIG_COUNT"] = std::to_string(n);
  return environment;
}

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::open(SessionOptions options, sys::Fd stream_fd, sys::Fd control) {
  const StartSettings& settings = options.settings;
  const std::filesystem::path state = settings.state;
  TRY(sys::make_directories(state, 0700));
  // The one before may just be ending.
  auto lock = sys::FileLock::try_acquire(state / "lock");
  for (int i = 0; i < 50 && !lock && lock.error().kind() == ErrorKind::kExists; ++i) {
    ::usleep(100'000);
    lock = sys::FileLock::try_acquire(state / "lock");
  }
  if (!lock)
    return fail(std::move(lock).error().with_context("while taking over the mirror of '" + settings.sandbox + "'"));

  const git::Program program{settings.git, settings.home};
  TRY_ASSIGN(Stream stream, Stream::over(std::move(stream_fd)));
  TRY_ASSIGN(BaseStore base, BaseStore::open(state));
  if (base.instance() != settings.instance) TRY(base.reset(settings.instance, settings.cloned));
  TRY_ASSIGN(History history, History::open(program, state / "history"));
  HeldStore held = HeldStore::open(state);
  TRY_ASSIGN(sys::TreeWatcher watcher, sys::TreeWatcher::make());
  TRY_ASSIGN(const git::Repository repository, git::Repository::discover(program, settings.worktree));

  auto impl = std::make_unique<Impl>(std::move(options), std::move(*lock), std::move(stream), std::move(control),
                                     std::move(base), std::move(history), std::move(held), std::move(watcher),
                                     program);
  TRY(impl->open_worktree(repository));
  return Session(std::move(impl));
}

Result<> Session::run() {
  auto result = impl_->run();
  auto finished = impl_->finish();
  if (!result) return result;
  return finished;
}

Result<> Session::Impl::open_worktree(const git::Repository& repository) {
  const StartSettings& settings = options.settings;
  const std::filesystem::path state = settings.state;
  spool_directory = state / "spool";
  TRY(sys::remove_tree(spool_directory));
  TRY(sys::make_directories(spool_directory, 0700));
  TreeOptions tree_options{
      .git = settings.git, .git_environment = tree_environment(program), .cache = state / "stat-cache"};
  tree_options.include = settings.include;
  tree_options.hold_ignored = true;
  tree_options.staging = staging_for(settings, repository);
  tree_options.saved = state / "saved";
  tree_options.max_file = options.limits.max_file;
  tree_options.max_entries = options.limits.max_entries;
  tree_options.before_listing = [this](std::string_view path, int fd) { (void)watcher.add(path, fd); };
  TRY_ASSIGN(tree, Tree::open(settings.worktree, std::move(tree_options)));
  std::vector<std::string> agreed;
  for (const auto& [path, entry] : base.state()) agreed.push_back(path);
  tree->keep(agreed);
  git.emplace(repository, settings, options.limits,
              GitLink::Context{&stream, &door, &base, &last_id, [this](Event event) { tell(std::move(event)); },
                               [this](const std::vector<std::string>& paths) { return carried(paths); }});
  TRY(git->start());
  open_branches(repository);
  std::vector<sys::Fd> disks;
  for (const std::filesystem::path& place : {std::filesystem::path(settings.worktree), state, repository.common_dir()}) {
    TRY_ASSIGN(sys::Fd disk, sys::open_file(place, O_RDONLY | O_DIRECTORY));
    disks.push_back(std::move(disk));
  }
  durability.emplace(std::move(disks), Durability::Context{&stream, &door, &base, &last_id, [this](Event event) { tell(std::move(event)); }});
  // Without it the ref is looked at often.
  if (auto watch = RefWatch::make(repository.common_dir(), settings.branch)) refs = std::move(*watch);
  TRY(scan_host());
  return greet(repository);
}

void Session::Impl::open_branches(const git::Repository& repository) {
  BranchLink::Context context{.stream = &stream, .door = &door, .last_id = &last_id};
  context.reply = [this](std::int64_t id, json::object answer) {
    answer["reply"] = id;
    answer["ok"] = true;
    say(answer);
  };
  context.refuse = [this](std::int64_t id, const Error& error) { reply_error(id, error); };
  context.common = [this] {
    std::vector<git::ObjectId> tips;
    for (const std::string& tip : {git->host_tip(), base.tip()})
      if (!tip.empty()) tips.push_back(tip);
    return tips;
  };
  branches.emplace(repository, options.settings, options.limits, std::move(context));
}

Result<> Session::Impl::greet(const git::Repository& repository) {
  const StartSettings& settings = options.settings;
  stream.send(wire::HostHello{.root = settings.inside,
                              .branch = settings.branch,
                              .object_format = repository.object_format(),
                              .user_name = settings.user_name.substr(0, wire::kMaxName),
                              .user_email = settings.user_email.substr(0, wire::kMaxName)});
  wire::Known known;
  std::size_t bytes = 0;
  for (const auto& [path, entry] : base.state()) {
    known.paths.push_back(path);
    bytes += path.size() + 4;
    if (known.paths.size() == wire::kMaxListed || bytes > wire::kMaxPayload / 2) {
      stream.send(known);
      known.paths.clear();
      bytes = 0;
    }
  }
  known.last = true;
  stream.send(known);
  return stream.flush();
}

// ---- the loop ----

Result<> Session::Impl::run() {
  while (!stopping) TRY(turn());
  TRY(rest());
  stream.send(wire::Bye{"the host stops"});
  return stream.flush();
}

int Session::Impl::timeout() const {
  const auto now = Clock::now();
  Time next = now + (calm() ? kCalmLook : kRefLook);
  if (first_dirty) next = std::min(next, std::min(*last_dirty + kQuiet, *first_dirty + kAtMost));
  if (plan_again && have_sandbox && !round && !recovery_due) return 0;
  if (const auto due = durability->next()) next = std::min(next, *due);
  if (upload ? stream.may_send_data()
             : round && round->applying && !round->uploads.empty() && sent.size() < kRequestsAhead)
    return 0;
  return static_cast<int>(std::clamp<long>(std::chrono::ceil<milliseconds>(next - now).count(), 0, kCalmLook.count()));
}

Result<> Session::Impl::turn() {
  std::array<pollfd, 6> fds{};
  fds[0] = {stream.fd(), static_cast<short>(POLLIN | (stream.wants_write() ? POLLOUT : 0)), 0};
  fds[1] = {control.get(), POLLIN, 0};
  fds[2] = {watcher.fd(), POLLIN, 0};
  fds[3] = {git->pack_fd(), POLLIN, 0};
  fds[4] = {refs.fd(), POLLIN, 0};
  fds[5] = {durability->fd(), POLLIN, 0};
  const bool stirred = ::poll(fds.data(), fds.size(), timeout()) > 0;  // EINTR: one idle turn
  if (stirred || !quiet()) {
    last_stir = Clock::now();
    memory_kept = true;
  } else if (memory_kept && calm()) {
    memory_kept = false;
    sys::give_back_memory();
  }
  if (fds[4].revents != 0 && refs.drain()) last_ref_look = {};
  if (fds[1].revents != 0) TRY(read_control());
  TRY(stream.receive([this](wire::Message& message, std::size_t size) { return handle(message, size); }));
  TRY(watch_host());
  branches->tick(Clock::now());
  if (ready) {
    if (Clock::now() - last_ref_look >= kRefLook) {
      last_ref_look = Clock::now();
      if (calm()) refs.arm();
      TRY(git->look(false));
      if (options.outdated && options.outdated())
        return fail(ErrorKind::kUnavailable, "the user's git configuration was replaced: the mirror begins anew");
    }
    if (recovery_due) TRY(recover());
    // Who waits for an answer does not wait out a delay.
    plan_again |= std::any_of(blocked.begin(), blocked.end(), [&, now = Clock::now()](const auto& item) {
      return now >= item.second.retry_at || (!syncs.empty() && now >= item.second.tried_at + kRetryForSync);
    });
    TRY(advance());
    if (!recovery_due) TRY(git->step());
    TRY(git->pump());
    TRY(mark_index());
    TRY(durability->step(Clock::now(), quiet()));
    if (!told_caught_up && quiet()) {
      told_caught_up = true;
      if (!recovered.empty()) tell({"recovered", "", "", std::exchange(recovered, std::string())});
      tell({"caught-up", "", "", ""});
    }
    if (Clock::now() - last_record >= kRecord) TRY(record_history(false));
    TRY(answer_syncs());
  }
  return stream.flush();
}

Result<> Session::Impl::finish() {
  auto recorded = record_history(true);
  (void)tree->save_cache();
  auto compacted = base.compact(true);
  // What comes after the answer may be cut short.
  if (stop_id != 0) say({{"reply", stop_id}, {"ok", true}});
  (void)history.tidy();
  if (!recorded) return recorded;
  return compacted;
}

// ---- the daemon ----

void Session::Impl::say(const json::object& line) {
  if (!control) return;
  if (!sys::write_all(control.get(), json::serialize(line) + "\n")) stopping = true;
}

void Session::Impl::tell(Event event) {
  event.text = printable(event.text, 2000);
  log::info("{} {} {} {}", event.kind, printable(event.path), event.version, event.text);
  // What was in a commit's way is over.
  if (event.kind == "commit" || event.kind == "commit_in" || event.kind == "unstuck") told_caught_up = false;
  say(to_json(event));
}

void Session::Impl::reply_error(std::int64_t id, const Error& error) {
  say({{"reply", id}, {"error", {{"kind", to_string(error.kind())}, {"message", error.describe()}}}});
}

Result<> Session::Impl::read_control() {
  std::array<char, 4096> buffer;
  const ssize_t n = ::recv(control.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (n <= 0) {
    stopping = true;
    return {};
  }
  control_in.append(buffer.data(), static_cast<std::size_t>(n));
  for (std::size_t end; (end = control_in.find('\n')) != std::string::npos; control_in.erase(0, end + 1)) {
    TRY_ASSIGN(const json::object line,
               json::parse_object(std::string_view(control_in).substr(0, end), kMaxControlLine));
    TRY(request(line));
  }
  if (control_in.size() > kMaxControlLine) return fail(ErrorKind::kFailed, "the daemon sends lines that are too long");
  return {};
}

Result<> Session::Impl::request(const json::object& line) {
  const std::string what = json::string_or(line, "request");
  const std::int64_t id = json::int_or(line, "id");
  if (what == "stop") {
    stopping = true;
    stop_id = id;
  } else if (what == "sync") {
    // What is on the host's disk now is already in the watcher's queue, unless not all can be watched.
    syncs.push_back({.id = id, .durable = json::bool_or(line, "durable"), .asked = Clock::now()});
    if (!watcher.complete()) full_scan_due = true;
    first_dirty = last_dirty = Time{};
  } else if (what == "accept") {
    auto accepted = accept(line);
    if (!accepted) return reply_error(id, accepted.error()), Result<>{};
    say({{"reply", id}, {"ok", true}});
  } else if (what == "note") {
    if (ready) stream.send(wire::Note{json::string_or(line, "text").substr(0, wire::kMaxText)});
  } else if (what == "branches") {
    branches->begin(line);
  } else if (what == "status") {
    json::array paths;
    for (const auto& [path, why] : blocked) paths.emplace_back(json::object{{"path", path}, {"text", why.reason}});
    say({{"reply", id},
         {"ok", true},
         {"state", !ready    ? "starting"
                   : quiet() ? "quiet"
                             : "busy"},
         {"entries", base.state().size()},
         {"blocked", std::move(paths)},
         {"durable", !durability->wanted()},
         {"tip", base.tip()}});
  } else {
    reply_error(id, Error(ErrorKind::kUsage, "the request '" + printable(what) + "' is unknown"));
  }
  return {};
}

bool Session::Impl::files_quiet() const { return ready && !recovery_due && !round && !plan_again && !first_dirty && !full_scan_due && !marks_due; }

bool Session::Impl::quiet() const { return files_quiet() && git->settled(); }

// Whether each of these is the same on both sides, as far as anybody knows, or is kept apart for a reason.
bool Session::Impl::carried(const std::vector<std::string>& paths) const {
  if (!have_sandbox || first_dirty || full_scan_due) return false;
  return std::all_of(paths.begin(), paths.end(), [this](const std::string& path) {
    const auto here = tree->state().find(path), there = sandbox.find(path);
    const bool in_one = here == tree->state().end(), in_other = there == sandbox.end();
    if (in_one || in_other ? in_one == in_other : here->second == there->second) return true;
    return blocked.contains(path) || holding.contains(path);
  });
}

// Everything is agreed and recorded, and whatever happens next is said by a descriptor.
bool Session::Impl::calm() const {
  return quiet() && syncs.empty() && blocked.empty() && watcher.complete() && refs.armed() && !durability->wanted() && Clock::now() - last_stir > kCalmAfter;
}

Result<> Session::Impl::answer_syncs() {
  if (syncs.empty()) return {};
  for (SyncRequest& sync : syncs) {
    if (sync.barrier != 0) continue;
    TRY(git->look(true));
    sync.barrier = ++last_id;
    door.expect_barrier(sync.barrier);
    stream.send(wire::Barrier{sync.barrier});
  }
  if (!files_quiet()) return {};
  // What could not be carried only just now ("it changed meanwhile") is no answer yet; what goes on being in the way is one.
  const auto now = Clock::now();
  const bool unsettled = std::any_of(blocked.begin(), blocked.end(),
                                     [&](const auto& item) { return now < item.second.since + kSettles; });
  // And it may have gone since the last attempt: who has just made room hears what is true now.
  const auto tried = [&](const SyncRequest& sync) {
    return std::all_of(blocked.begin(), blocked.end(), [&](const auto& item) { return item.second.tried_at >= sync.asked; });
  };
  const bool hurried = std::any_of(syncs.begin(), syncs.end(), [](const SyncRequest& sync) { return sync.durable && sync.barrier_done; });
  if (hurried) durability->hurry();
  const auto answerable = [&](const SyncRequest& sync) {
    if (sync.durable && durability->wanted()) return false;
    return sync.barrier_done && (git->settled() || git->stuck_since(sync.heard)) && ((!unsettled && tried(sync)) || now >= sync.asked + kSettles);
  };
  if (std::none_of(syncs.begin(), syncs.end(), answerable)) return {};
  // Who is told that both sides agree may count on it: this very state is in the history, to merge from and to go back to.
  TRY(record_history(true));
  json::array paths;
  for (const auto& [path, why] : blocked) paths.emplace_back(json::object{{"path", path}, {"text", why.reason}});
  json::object answer{{"ok", true}, {"tip", base.tip()}, {"entries", base.state().size()}, {"held", held.files().size()}, {"blocked", std::move(paths)}};
  // Why the branch is not the same on both sides.
  if (!git->settled()) answer["branch"] = git->why_not();
  for (const SyncRequest& sync : syncs) {
    if (!answerable(sync)) continue;
    answer["reply"] = sync.id;
    say(answer);
  }
  std::erase_if(syncs, answerable);
  return {};
}

// ---- the far end ----

Result<> Session::Impl::handle(wire::Message& message, std::size_t size) {
  if (auto admitted = door.admit(message, size, Clock::now()); !admitted)
    return fail(ErrorKind::kProtocol, admitted.error().describe());
  if (const auto* m = std::get_if<wire::Entries>(&message)) return entries(*m);
  if (const auto* m = std::get_if<wire::Data>(&message)) {
    if (branches->owns(m->id)) return branches->data(*m), Result<>{};
    return git->owns(m->id) ? git->data(*m) : data(*m);
  }
  if (const auto* m = std::get_if<wire::Content>(&message)) return content(*m);
  if (const auto* m = std::get_if<wire::ContentGone>(&message)) return download_ended(m->id, false);
  if (const auto* m = std::get_if<wire::Done>(&message)) {
    if (branches->owns(m->id)) return branches->done(*m), Result<>{};
    if (durability->owns(m->id)) return durability->done(*m), Result<>{};
    return git->owns(m->id) ? git->done(*m) : sandbox_done(*m);
  }
  if (const auto* m = std::get_if<wire::Pack>(&message)) return branches->owns(m->id) ? branches->pack(*m) : git->pack(*m);
  if (const auto* m = std::get_if<wire::Branches>(&message)) return branches->branches(*m), Result<>{};
  if (const auto* m = std::get_if<wire::Head>(&message)) {
    git->head(*m);
    return {};
  }
  if (const auto* m = std::get_if<wire::BarrierDone>(&message)) {
    for (SyncRequest& sync : syncs) {
      if (sync.barrier == m->id) sync.barrier_done = true, sync.heard = Clock::now();
    }
    // Where both branches are is known now.
    git->hurry();
    return {};
  }
  if (auto* m = std::get_if<wire::FarHello>(&message)) far = std::move(*m);
  if (const auto* m = std::get_if<wire::Problem>(&message)) tell({"problem", "", "", "inside: " + m->text});
  return {};
}

Result<> Session::Impl::entries(const wire::Entries& message) {
  if (message.full && message.first) incoming.clear();
  State& into = message.full ? incoming : sandbox;
  for (const wire::ListedEntry& listed : message.entries) apply(into, {listed.path, listed.entry});
  if (into.size() > options.limits.max_entries)
    return fail(ErrorKind::kProtocol, "the sandbox has more files than may be mirrored");
  if (!message.last) return {};
  if (message.full) sandbox = std::move(incoming), incoming.clear();
  return far_state_complete();
}

Result<> Session::Impl::far_state_complete() {
  if (!complete_parents(sandbox)) {
    // A scan while files turned into directories can look like this, twice in a row it is no accident.
    if (++malformed > 3) return fail(ErrorKind::kProtocol, "the sandbox lists files beneath what is not a directory");
    stream.send(wire::Rescan{});
    have_sandbox = false;
    return {};
  }
  std::uint64_t total = 0;
  for (const auto& [path, entry] : sandbox) total += entry.size;
  if (total > options.limits.max_total)
    return fail(ErrorKind::kProtocol, "the sandbox has more data than may be mirrored");
  malformed = 0;
  have_sandbox = true;
  plan_again = true;
  if (ready) return {};
  ready = true;
  ready_at = Clock::now();
  if (sandbox.empty() && !base.state().empty()) {
    // An empty sandbox is a new one, not one whose agent deleted everything while nobody looked.
    tell({"problem", "", "", "the sandbox was empty: what was agreed is forgotten, the host's files go in again"});
    TRY(base.reset(options.settings.instance, ""));
  }
  tell({"ready", "", "", ""});
  return {};
}

// ---- the host's worktree ----

Result<> Session::Impl::scan_host() {
  full_scan_due = false;
  first_dirty.reset();
  dirty.clear();
  if (!watcher.complete()) TRY(watcher.reset());
  auto scanned = tree->scan();
  last_full_scan = Clock::now();
  if (!tree->root_alive())
    return fail(ErrorKind::kFailed, "the worktree '" + options.settings.worktree + "' was moved or deleted");
  if (!scanned) return fail(std::move(scanned).error().with_context("while reading the worktree"));
  plan_again = true;
  return {};
}

Result<> Session::Impl::watch_host() {
  TRY_ASSIGN(sys::WatchReport report, watcher.drain());
  const auto now = Clock::now();
  if (report.root_gone && !tree->root_alive()) {
    return fail(ErrorKind::kFailed, "the worktree '" + options.settings.worktree + "' was moved or deleted");
  }
  if (report.overflow) {
    full_scan_due = true;
    TRY(watcher.reset());
  }
  if (!report.dirty.empty()) {
    if (!first_dirty) first_dirty = now;
    last_dirty = now;
    dirty.merge(report.dirty);
  }
  if (!watcher.complete() && now - last_full_scan > kFullScan) full_scan_due = true;
  if (full_scan_due) return scan_host();
  if (!first_dirty || (now < *last_dirty + kQuiet && now < *first_dirty + kAtMost)) return {};
  first_dirty.reset();
  const std::set<std::string> look = std::exchange(dirty, {});
  if (look.empty()) return {};
  auto changes = tree->rescan(look);
  if (!tree->root_alive())
    return fail(ErrorKind::kFailed, "the worktree '" + options.settings.worktree + "' was moved or deleted");
  if (!changes) return fail(std::move(changes).error().with_context("while reading the worktree"));
  plan_again |= !changes->empty();
  return {};
}

// At most one version a second, of what both sides have and nobody is changing just now.
Result<> Session::Impl::record_history(bool everything) {
  last_record = Clock::now();
  if (!tree) return {};
  std::vector<Change> changes;
  bool more = false;
  for (Change& change : diff(history.recorded(), base.state())) {
    const auto host = tree->state().find(change.path);
    const bool same =
        change.entry ? host != tree->state().end() && host->second == *change.entry : host == tree->state().end();
    if (!same) continue;
    more = !everything && changes.size() == kRecordAtOnce;
    if (more) break;
    changes.push_back(std::move(change));
  }
  if (changes.empty()) return {};
  // Large first versions are written in between other work.
  if (more) last_record -= kRecord;
  return history.record(changes, [this](const std::string& path) -> Result<sys::Fd> {
    TRY_ASSIGN(sys::OpenedFile opened, tree->open_file(path));
    return std::move(opened.fd);
  });
}

}  // namespace locki::mirror
