#include "endpoint/session.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/strings.h"
#include "endpoint/mend.h"
#include "mirror/door.h"
#include "mirror/staging.h"
#include "sys/file.h"

namespace locki::endpoint {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetry{1000};             // after a scan that failed, or an index that did not follow
constexpr int kFollowTries = 20;                 // before somebody is told: a lock may be somebody's, or dead (dead_locks.h)
constexpr milliseconds kBetweenFullScans{2000};  // those that nobody asked for
constexpr std::size_t kMaxKnown = 1'000'000;
constexpr std::size_t kMaxProblem = 1000;

}  // namespace

Session::Session(const EndpointOptions& options, Link link, sys::TreeWatcher watcher, GitWatch git_watch)
    : options_(options), link_(std::move(link)), watcher_(std::move(watcher)), git_watch_(std::move(git_watch)) {}

Result<> Session::run() {
  while (!done_) {
    wait();
    if (cut_off_) return {};
    TRY_ASSIGN(std::vector<wire::Frame> frames, link_.receive());
    for (wire::Frame& frame : frames) TRY(handle(frame));
    if (link_.ended()) return {};
    if (tree_) {
      collect();
      TRY(look(false));
      answer_barriers();
    }
    TRY(serve_transfers());
    end_flush();
  }
  return {};
}

void Session::wait() {
  pollfd fds[7];
  nfds_t count = 0;
  const auto add = [&](int fd, short events) {
    if (fd >= 0) fds[count++] = {fd, events, 0};
  };
  add(link_.in(), POLLIN);
  if (link_.wants_to_write()) add(link_.out(), POLLOUT);
  add(watcher_.fd(), POLLIN);
  add(git_watch_.fd(), POLLIN);
  if (link_.wants_data()) add(outgoing_.pack_fd(), POLLIN);
  if (flush_) add(flush_->second.fd(), POLLIN);
  add(options_.lifeline, POLLIN);
  if (::poll(fds, count, timeout_ms()) < 0) return;  // EINTR: one idle round
  if (options_.lifeline >= 0 && fds[count - 1].revents != 0) cut_off_ = !lifeline_holds();
}

bool Session::lifeline_holds() {
  char ignored[256];
  const ssize_t got = ::read(options_.lifeline, ignored, sizeof ignored);
  return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

int Session::timeout_ms() const {
  if (tree_ && outgoing_.ready() && link_.wants_data()) return 0;
  Time next;
  const auto at = [&](Time due) {
    if (due && (!next || *due < *next)) next = due;
  };
  if (first_dirty_) at(std::min(*last_dirty_ + options_.quiet, *first_dirty_ + options_.at_most));
  at(full_due_);
  at(head_due_);
  at(follow_due_);
  if (tree_ && (!watcher_.complete() || !git_watch_.armed())) at(last_full_ + options_.poll);
  if (!next) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*next - Clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 60'000));
}

Result<> Session::serve_transfers() {
  // A few pieces a round: requests and changes get their turn in between.
  for (int piece = 0; piece < 16; ++piece) {
    link_.send_credit();
    TRY(link_.flush());
    if (!tree_ || !outgoing_.pump(link_, *tree_, *repository_)) break;
  }
  return link_.flush();
}

// ---- watching and reporting ----

void Session::collect() {
  const auto now = Clock::now();
  auto seen = watcher_.drain();
  if (!seen || seen->overflow) {
    full_due_ = now;
    (void)watcher_.reset();
  } else {
    if (seen->dirty.erase(".git") > 0) head_due_ = now + options_.quiet;
    if (!seen->dirty.empty()) {
      if (!first_dirty_) first_dirty_ = now;
      last_dirty_ = now;
      dirty_.merge(seen->dirty);
    }
    if (seen->root_gone) full_due_ = now;
  }
  const GitWatch::Changes git = git_watch_.drain();
  if (git.head) head_due_ = now + options_.quiet;
  if (git.rules) full_due_ = now + options_.quiet;
  // What cannot be watched is looked at.
  if (now >= last_full_ + options_.poll) {
    if (!watcher_.complete()) full_due_ = now;
    if (!git_watch_.armed()) head_due_ = now, last_full_ = now;
  }
}

Result<> Session::look(bool now) {
  const auto time = Clock::now();
  // The files of a commit are told before it.
  const bool head_now = head_due_ && (now || time >= *head_due_);
  if (full_due_ && (now || time >= *full_due_)) {
    TRY(full_scan(false));
  } else if (first_dirty_ &&
             (now || head_now || time >= *last_dirty_ + options_.quiet || time >= *first_dirty_ + options_.at_most)) {
    first_dirty_.reset();
    const std::set<std::string> dirty = std::exchange(dirty_, {});
    const auto changes = tree_->rescan(dirty);
    if (!changes) return scan_failed(changes.error());
    scan_failed_ = false;
    report(false, *changes);
  }
  if (head_now) {
    head_due_.reset();
    git_watch_.arm(tree_->root());
    report_head();
  }
  if (follow_due_ && time >= *follow_due_) follow();
  return {};
}

// The index is brought to where the branch is, if somebody was killed before it was, or held its lock.
void Session::follow() {
  follow_due_.reset();
  const auto followed = repository_->take_up_behind();
  follow_failures_ = followed ? 0 : follow_failures_ + 1;
  if (!followed) {
    follow_due_ = Clock::now() + kRetry;
    log::warning("the index does not follow the branch yet: {}", printable(followed.error().describe()));
  }
  if (follow_failures_ == kFollowTries) problem("the index did not follow the branch: " + followed.error().describe());
  if (followed && !followed->empty()) problem(*followed);
  log_cleared();
}

// The kernel was started anew since the last mark: what a crash left of the repository is not for git to stumble over.
void Session::mend() {
  Mark mark = marks_.read();
  const std::string before = std::exchange(mark.boot, sys::boot_id());
  if (before == mark.boot) return;
  // The next one need not look again; a first one notes where it began.
  if (auto noted = marks_.write(mark); !noted) log::warning("{}", printable(noted.error().describe()));
  // A first one, unless what there is comes from before the first mark: a clone that was not written down whole.
  if (before.empty() && !repository_->unfinished() && repository_->head()) return;
  auto mended = Mend(*repository_, hello_->root, hello_->branch, options_.aside).run(mark.tip);
  if (!mended) return problem("the repository could not be mended: " + mended.error().describe());
  for (const std::string& line : *mended) problem("after a crash: " + line);
}

// One at a time.
Result<> Session::on(const wire::Flush& flush) {
  const auto begin = [&]() -> Result<sys::Flush> {
    if (flush_) return fail(ErrorKind::kConflict, "the one before is not through");
    TRY_ASSIGN(const HeadInfo head, repository_->head());
    TRY(marks_.write({sys::boot_id(), flush.mark, head.oid}));
    TRY_ASSIGN(const sys::Fd cache, sys::open_file(options_.cache_directory, O_RDONLY | O_DIRECTORY));
    return sys::Flush::begin({tree_->root().fd(), cache.get()});
  };
  auto begun = begin();
  if (begun) flush_.emplace(flush.id, std::move(*begun));
  else link_.send(failed_done(flush.id, begun.error()));
  return {};
}

void Session::end_flush() {
  if (!flush_ || !flush_->second.over()) return;
  const auto outcome = flush_->second.outcome();
  link_.send(outcome ? wire::Done{.id = flush_->first} : failed_done(flush_->first, outcome.error()));
  flush_.reset();
}

void Session::log_cleared() {
  if (const std::string cleared = repository_->take_cleared(); !cleared.empty()) log::warning("{}", printable(cleared));
}

Result<> Session::full_scan(bool report_all) {
  full_due_.reset();
  first_dirty_.reset();
  dirty_.clear();
  if (!watcher_.complete()) (void)watcher_.reset();
  const mirror::State before = report_all ? mirror::State() : tree_->state();
  const auto state = tree_->scan();
  last_full_ = Clock::now();
  if (!state) return scan_failed(state.error());
  scan_failed_ = false;
  if (!watcher_.complete()) problem("not every directory can be watched: changes are looked for every few seconds");
  report(report_all || !reported_, mirror::diff(reported_ ? before : mirror::State(), *state));
  reported_ = true;
  return {};
}

Result<> Session::scan_failed(const Error& error) {
  scan_failed_ = true;
  problem(error.describe());
  // Nothing here brings a deleted directory back: whoever started us decides. Anything else (git, the disk, limits) may
  // pass.
  if (!tree_->root_alive()) {
    (void)link_.flush();
    return fail(error);
  }
  full_due_ = Clock::now() + kRetry;
  return {};
}

void Session::report(bool full, const std::vector<mirror::Change>& changes) {
  if (!full && changes.empty()) return;
  ++generation_;
  for (wire::Entries& piece : wire::split_entries(generation_, full, changes)) link_.send(std::move(piece));
}

void Session::report_head(bool again) {
  auto now = repository_->head();
  if (!now) {
    head_due_ = Clock::now() + kRetry;
    return problem("the repository cannot be read: " + now.error().describe());
  }
  if (!again && head_ == *now) return;
  // A commit may have tracked what was ignored.
  if (head_ && head_->oid != now->oid && !full_due_)
    full_due_ = std::max(Clock::now() + options_.quiet, last_full_ + kBetweenFullScans);
  head_ = std::move(*now);
  const bool known_form = head_->oid.empty() || mirror::is_object_id(head_->oid);
  link_.send(wire::Head{.current = printable(head_->current, wire::kMaxName),
                        .oid = known_form ? head_->oid : "",
                        .other_refs = head_->other_refs});
}

void Session::problem(const std::string& text) {
  if (text == last_problem_) return;  // not every second again
  last_problem_ = text;
  log::warning("{}", printable(text));
  link_.send(wire::Problem{printable(text, kMaxProblem)});
}

// ---- requests ----

Result<> Session::handle(wire::Frame& frame) {
  return std::visit(
      [&](const auto& message) -> Result<> {
        using T = std::decay_t<decltype(message)>;
        constexpr bool kAlways = std::is_same_v<T, wire::HostHello> || std::is_same_v<T, wire::Known> ||
                                 std::is_same_v<T, wire::Credit> || std::is_same_v<T, wire::Bye>;
        if (!kAlways && !tree_) return fail(ErrorKind::kProtocol, "a request before the greeting was complete");
        TRY(on(message));
        if constexpr (std::is_same_v<T, wire::Data>) link_.return_credit(frame.payload_size);
        return {};
      },
      frame.message);
}

Result<> Session::on(const wire::HostHello& hello) {
  if (hello_) return fail(ErrorKind::kProtocol, "a second greeting");
  if (!hello.root.starts_with('/') || hello.branch.empty())
    return fail(ErrorKind::kProtocol, "a greeting without root or branch");
  hello_ = hello;
  if (!options_.cache_directory.empty() && sys::make_directories(options_.cache_directory, 0700))
    marks_ = Marks(options_.cache_directory + "/" + hash_of(hello.root).to_hex().substr(0, 16) + ".mark");
  link_.send(wire::FarHello{.version = wire::kVersion, .program = "locki-endpoint " LOCKI_VERSION, .boot = sys::boot_id(), .mark = marks_.read().name});
  return {};
}

Result<> Session::on(const wire::Known& known) {
  if (!hello_ || tree_) return fail(ErrorKind::kProtocol, "known paths at the wrong time");
  known_.insert(known_.end(), known.paths.begin(), known.paths.end());
  if (known_.size() > kMaxKnown) return fail(ErrorKind::kProtocol, "too many known paths");
  if (!known.last) return {};
  TRY(open_tree());
  mend();
  repository_->take_over();
  follow();
  TRY(full_scan(true));
  git_watch_.arm(tree_->root());
  report_head();
  return {};
}

Result<> Session::open_tree() {
  RepositoryOptions repository{.git = options_.git,
                               .root = hello_->root,
                               .branch = hello_->branch,
                               .user_name = hello_->user_name,
                               .user_email = hello_->user_email,
                               .dead_lock_after = options_.dead_lock_after};
  if (!hello_->object_format.empty()) repository.object_format = hello_->object_format;
  repository_.emplace(std::move(repository));

  mirror::TreeOptions tree{.git = options_.git, .git_environment = Repository::environment()};
  // The ignore rules of whoever works here count as well.
  tree.git_environment.erase("GIT_CONFIG_GLOBAL");
  tree.git_environment.erase("GIT_CONFIG_NOSYSTEM");
  if (!options_.cache_directory.empty() && sys::make_directories(options_.cache_directory, 0700))
    tree.cache = options_.cache_directory + "/" + hash_of(hello_->root).to_hex().substr(0, 16);
  // Beside the root until there is a repository, and while the agent has put something else in its place.
  tree.staging = {".git/locki-staging", mirror::staging_beside(hello_->root)};
  tree.before_listing = [this](std::string_view path, int fd) { (void)watcher_.add(path, fd); };
  // Only where nothing was agreed yet: an empty directory in place of a lost one would read as "everything was
  // deleted".
  if (known_.empty()) TRY(sys::make_directories(hello_->root));
  auto opened = mirror::Tree::open(hello_->root, std::move(tree));
  if (!opened) {
    problem(opened.error().describe());
    (void)link_.flush();
    return fail(std::move(opened).error());
  }
  tree_.emplace(std::move(*opened));
  tree_->keep(known_);
  known_.clear();
  return {};
}

Result<> Session::on(const wire::Rescan&) { return full_scan(true); }

Result<> Session::on(const wire::Fetch& fetch) {
  outgoing_.push(fetch);
  return {};
}

Result<> Session::on(const wire::Put& put) {
  if (auto done = incoming_.begin(*tree_, put)) link_.send(std::move(*done));
  return {};
}

Result<> Session::on(const wire::Remove& remove) {
  link_.send(to_done(remove.id, *tree_, remove.path, tree_->remove(remove.path, remove.expected)));
  return {};
}

Result<> Session::on(const wire::Barrier& barrier) {
  collect();
  if (!watcher_.complete()) full_due_ = Clock::now();
  if (!git_watch_.armed()) head_due_ = Clock::now();
  barriers_.push_back(barrier.id);
  TRY(look(true));
  answer_barriers();
  return {};
}

void Session::answer_barriers() {
  // After a scan that failed nobody knows what is on disk: the next one that succeeds answers.
  if (scan_failed_) return;
  for (const wire::Id id : barriers_) link_.send(wire::BarrierDone{id, generation_});
  barriers_.clear();
}

Result<> Session::on(const wire::GitFetch& fetch) {
  outgoing_.push(fetch);
  return {};
}

Result<> Session::on(const wire::GitPack& pack) {
  if (incoming_.begin(*repository_, pack)) return {};
  // The host does not know where the branch is: it is told once more, even if that was said before.
  head_.reset();
  report_head();
  return {};
}

Result<> Session::on(const wire::ListBranches& request) {
  auto found = repository_->other_branches();
  if (!found) {
    link_.send(wire::Done{.id = request.id, .status = wire::DoneStatus::kFailed, .message = printable(found.error().describe(), kMaxProblem)});
    return {};
  }
  wire::Branches answer{.id = request.id, .more = found->more, .stashes = found->stashes};
  for (auto& branch : found->branches) answer.branches.push_back({std::move(branch.name), std::move(branch.oid)});
  link_.send(std::move(answer));
  return {};
}

Result<> Session::on(const wire::Data& data) {
  bool pack_ended = false;
  auto done = incoming_.take(*tree_, *repository_, data, pack_ended);
  if (pack_ended) {
    git_watch_.arm(tree_->root());
    // Before the answer, and also if it was said before: the host counts on what it hears last.
    report_head(true);
  }
  if (const std::string text = incoming_.take_problem(); !text.empty()) problem(text);
  log_cleared();
  if (pack_ended && repository_->behind()) follow_due_ = Clock::now() + kRetry;
  if (done) link_.send(std::move(*done));
  return {};
}

Result<> Session::on(const wire::Credit& credit) {
  link_.add_credit(credit.bytes);
  return {};
}

Result<> Session::on(const wire::Note& note) {
  if (options_.notes.empty()) return {};
  const auto file = sys::open_file(options_.notes, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644);
  if (file) (void)sys::write_all(file->get(), printable(note.text, wire::kMaxText) + "\n");
  return {};
}

Result<> Session::on(const wire::Bye&) {
  done_ = true;
  return {};
}

Result<> serve(int in, int out, const EndpointOptions& options) {
  TRY_ASSIGN(Link link, Link::make(in, out));
  TRY_ASSIGN(sys::TreeWatcher watcher, sys::TreeWatcher::make());
  TRY_ASSIGN(GitWatch git_watch, GitWatch::make());
  return Session(options, std::move(link), std::move(watcher), std::move(git_watch)).run();
}

}  // namespace locki::endpoint
