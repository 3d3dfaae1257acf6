#include "sandbox/mirrors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "mirror/staging.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::sandbox {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t kMaxEvents = 100;
constexpr std::size_t kMaxStuck = 10'000;
constexpr int kMaxShortLives = 6;
constexpr std::size_t kMaxLine = 1 << 20;
// For Incus to start the endpoint, and for that to dial, in an emulated machine that has much to do.
constexpr std::chrono::seconds kDialPatience{10};

// The worker's lines. It is our own program, but it lives closest to the sandbox: what it says is bounded and read strictly.
class Lines {
 public:
  explicit Lines(int fd) : fd_(fd) {}
  Result<json::object> next() {
    for (;;) {
      if (const auto end = buffered_.find('\n'); end != std::string::npos) {
        auto object = json::parse_object(std::string_view(buffered_).substr(0, end), kMaxLine);
        buffered_.erase(0, end + 1);
        return object;
      }
      if (buffered_.size() > kMaxLine) return fail(ErrorKind::kProtocol, "the mirror worker sent a line without end");
      std::uint8_t chunk[16384];
      TRY_ASSIGN(const std::size_t n, sys::read_some(fd_, chunk, sizeof chunk));
      if (n == 0) return fail(ErrorKind::kUnavailable, "the mirror worker ended");
      buffered_.append(reinterpret_cast<const char*>(chunk), n);
    }
  }

 private:
  int fd_;
  std::string buffered_;
};

}  // namespace

bool all_came_out(const json::object& sync_reply) {
  const auto* blocked = json::array_or_null(sync_reply, "blocked");
  return (blocked == nullptr || blocked->empty()) && json::string_or(sync_reply, "branch").empty();
}

// Lives as long as its thread or a caller needs it.
class Mirrors::Mirror {
 public:
  Mirror(std::string id, MirrorPlan plan, const Mirrors& owner)
      : id_(std::move(id)), plan_(std::move(plan)), libexec_(owner.libexec_), log_(owner.log_), connect_(owner.connect_), observe_(owner.observe_), door_(owner.door_) {
    thread_ = std::thread([this] { supervise(); });
  }
  ~Mirror() { stop(milliseconds(0)); }

  void stop(milliseconds grace) {
    {
      std::unique_lock lock(mutex_);
      stopping_ = true;
      if (control_ && grace.count() > 0) {
        send_locked({{"request", "stop"}, {"id", ++last_id_}});
        changed_.wait_for(lock, grace, [&] { return !control_; });
      }
      if (far_ != nullptr) far_->cancel();
      if (control_) ::shutdown(control_.get(), SHUT_RDWR);
    }
    changed_.notify_all();
    const std::scoped_lock join(join_mutex_);
    if (thread_.joinable()) thread_.join();
  }

  Result<json::object> ask(json::object request, milliseconds timeout) {
    std::unique_lock lock(mutex_);
    const auto deadline = steady_clock::now() + timeout;
    if (!std::exchange(wanted_, true)) changed_.notify_all();
    if (!changed_.wait_until(lock, deadline, [&] { return control_ || stopping_ || status_.state == "closed"; })) return not_in_time();
    if (!control_) return fail(ErrorKind::kUnavailable, "the mirror is " + status_.state + (status_.problem.empty() ? "" : ": " + status_.problem));
    const std::int64_t id = ++last_id_;
    replies_[id] = std::nullopt;
    request["id"] = id;
    send_locked(request);
    const bool answered = changed_.wait_until(lock, deadline, [&] { return replies_[id].has_value() || !control_; });
    auto reply = std::move(replies_[id]);
    replies_.erase(id);
    if (!answered) return not_in_time();
    if (!reply) return fail(ErrorKind::kUnavailable, "the mirror ended: " + status_.problem);
    if (const auto* error = json::object_or_null(*reply, "error")) {
      const bool conflict = json::string_or(*error, "kind") == to_string(ErrorKind::kConflict);
      return fail(conflict ? ErrorKind::kConflict : ErrorKind::kFailed, printable(json::string_or(*error, "message", "the mirror failed")));
    }
    return std::move(*reply);
  }

  void note(std::string_view text) {
    const std::scoped_lock lock(mutex_);
    if (control_) send_locked({{"request", "note"}, {"id", 0}, {"text", text}});
  }

  MirrorStatus status() const {
    const std::scoped_lock lock(mutex_);
    return status_;
  }
  std::string take_recovered() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(untold_, std::string());
  }
  bool over() const {
    const std::scoped_lock lock(mutex_);
    return over_;
  }

 private:
  static tl::unexpected<Error> not_in_time() {
    return fail(ErrorKind::kTimeout, "the two sides did not agree in time", "it goes on in the background; see: locki list");
  }

  void send_locked(const json::object& line) {
    if (!sys::write_all(control_.get(), json::serialize(line) + "\n")) log::warning("mirror {}: the worker does not listen", id_);
  }

  void set_state(std::string state, std::string problem = "") {
    {
      const std::scoped_lock lock(mutex_);
      status_.state = std::move(state);
      status_.problem = std::move(problem);
    }
    changed_.notify_all();
  }

  void supervise() {
    set_state("starting");
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, plan_.begin_after, [&] { return stopping_ || wanted_; });
    }
    milliseconds delay(200);
    int short_lives = 0;
    for (;;) {
      const auto begun = steady_clock::now();
      set_state("starting");
      {
        // A new worker says anew what is in the way.
        const std::scoped_lock lock(mutex_);
        status_.held.clear();
        status_.stuck.clear();
        status_.refused.clear();
        status_.branch_stuck.clear();
      }
      auto ended = attempt();
      {
        const std::scoped_lock lock(mutex_);
        if (stopping_) break;
      }
      if (ended && *ended == mirror::kStatusViolation) {
        const std::scoped_lock lock(mutex_);
        status_.state = "closed";
        break;
      }
      const std::string why = ended ? fmt::format("the worker ended with status {}", *ended) : ended.error().describe();
      log::warning("mirror {}: {}", id_, why);
      std::unique_lock lock(mutex_);
      status_.state = "failed";
      if (status_.problem.empty()) status_.problem = why;
      if (steady_clock::now() - begun > std::chrono::seconds(30)) {
        delay = milliseconds(200);
        short_lives = 0;
      }
      // The container or the machine is down: whoever opens the sandbox next starts both, and this with them.
      if (++short_lives >= kMaxShortLives) break;
      changed_.wait_for(lock, delay, [&] { return stopping_; });
      delay = std::min(delay * 2, milliseconds(10'000));
      if (stopping_) break;
    }
    {
      const std::scoped_lock lock(mutex_);
      over_ = true;
      if (stopping_) status_.state = "stopped";
    }
    changed_.notify_all();
  }

  // One life of worker and endpoint; gives the worker's exit status.
  Result<int> attempt() {
    TRY_ASSIGN(auto client, connect_());
    TRY_ASSIGN(sys::Fd log, sys::open_file(log_, O_WRONLY | O_CREAT | O_APPEND));
    FarEnd far(id_, std::move(client), plan_.instance, log.get());
    {
      const std::scoped_lock lock(mutex_);
      far_ = &far;
      if (stopping_) far.cancel();
    }
    auto worker = start_worker(far, log.get());
    if (worker) read_events(worker->control.get());
    far.end();
    {
      const std::scoped_lock lock(mutex_);
      far_ = nullptr;
      control_.reset();
    }
    changed_.notify_all();
    if (!worker) return fail(std::move(worker).error());
    auto exit = worker->process.stop(std::chrono::seconds(5));
    mirror::remove_staging_beside(plan_.settings.worktree);  // the worker may not change what is around the worktree
    return exit.map([](const sys::Exit& how) { return how.status; });
  }

  struct Worker {
    sys::Child process;
    sys::Fd control;
  };
  Result<Worker> start_worker(FarEnd& far, int log) {
    TRY_ASSIGN(const sys::Fd stream, open_stream(far));
    TRY_ASSIGN(sys::SocketPair control, sys::make_socketpair());
    TRY_ASSIGN(sys::Child process, sys::spawn(mirror::worker_spec(libexec_, stream.get(), control.a.get(), log)));
    control.a.reset();
    TRY(sys::write_all(control.b.get(), json::serialize(json::object{{"start", to_json(plan_.settings)}}) + "\n"));
    {
      const std::scoped_lock lock(mutex_);
      TRY_ASSIGN(control_, sys::duplicate(control.b.get()));
      if (stopping_) ::shutdown(control_.get(), SHUT_RDWR);
    }
    return Worker{std::move(process), std::move(control.b)};
  }

  Result<sys::Fd> open_stream(FarEnd& far) {
    if (door_ != nullptr && plan_.way && dials_) {
      auto stream = far.by_dialling(plan_.endpoint, *door_, *plan_.way, kDialPatience);
      if (stream || stream.error().kind() != ErrorKind::kUnavailable) return stream;
      dials_ = false;
      log::warning("mirror {}: its stream goes through Incus, which is slower: {}", id_, stream.error().describe());
    }
    return far.through_exec(plan_.endpoint);
  }

  void read_events(int fd) {
    Lines lines(fd);
    for (;;) {
      auto line = lines.next();
      if (!line) return;
      if (line->contains("reply")) {
        const std::scoped_lock lock(mutex_);
        const auto waiting = replies_.find(json::int_or(*line, "reply", -1));
        if (waiting != replies_.end()) waiting->second = std::move(*line);
      } else if (auto event = mirror::event_from_json(*line)) {
        take(std::move(*event));
      } else {
        log::warning("mirror {}: {}", id_, event.error().describe());
      }
      changed_.notify_all();
    }
  }

  void take(mirror::Event event) {
    if (event.kind != "caught-up") log::info("mirror {}: {} {} {}", id_, event.kind, printable(event.path), event.text);
    if (event.kind != "caught-up" && observe_) observe_(id_, event);
    const std::scoped_lock lock(mutex_);
    if (event.kind == "caught-up") {
      status_.state = "quiet";
      status_.problem.clear();
      return;
    }
    if (event.kind == "ready") status_.state = "busy";
    if (event.kind == "recovered") status_.recovered = untold_ = event.text;
    if (event.kind == "conflict" || event.kind == "diverged") ++status_.conflicts;
    if (event.kind == "held") status_.held.insert(event.path);
    if (event.kind == "unheld") status_.held.erase(event.path);
    if (event.kind == "blocked" && status_.stuck.size() < kMaxStuck) status_.stuck[event.path] = event.text;
    if (event.kind == "unblocked") status_.stuck.erase(event.path);
    if (event.kind == "rejected") status_.refused = event.text;
    if (event.kind == "stuck") status_.branch_stuck = event.text;
    if (event.kind == "unstuck" || event.kind == "rejected") status_.branch_stuck.clear();
    if (event.kind == "commit" || event.kind == "commit_in" || event.kind == "diverged") status_.refused.clear();
    if (event.kind == "problem" || event.kind == "violation" || event.kind == "failed") status_.problem = event.text;
    status_.events.push_back(std::move(event));
    if (status_.events.size() > kMaxEvents) status_.events.pop_front();
  }

  const std::string id_;
  const MirrorPlan plan_;
  const std::filesystem::path libexec_, log_;
  const Connect connect_;
  const Observe observe_;
  StreamDoor* const door_;
  bool dials_ = true;  // the thread's: it has not failed

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  MirrorStatus status_;
  std::string untold_;
  bool stopping_ = false, over_ = false;
  bool wanted_ = false;  // somebody asked it something
  sys::Fd control_;         // ours; set while a worker runs
  FarEnd* far_ = nullptr;   // while there is one
  std::int64_t last_id_ = 0;
  std::map<std::int64_t, std::optional<json::object>> replies_;
  std::mutex join_mutex_;
  std::thread thread_;
};

Mirrors::Mirrors(std::filesystem::path libexec, std::filesystem::path log, Connect connect, Observe observe, StreamDoor* door)
    : libexec_(std::move(libexec)), log_(std::move(log)), connect_(std::move(connect)), observe_(std::move(observe)), door_(door) {}

Mirrors::~Mirrors() { stop_all(); }

std::shared_ptr<Mirrors::Mirror> Mirrors::find(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = mirrors_.find(id);
  return found == mirrors_.end() ? nullptr : found->second;
}

void Mirrors::start(const std::string& id, MirrorPlan plan) {
  std::shared_ptr<Mirror> old;  // destroyed outside the lock
  const std::scoped_lock lock(mutex_);
  auto& slot = mirrors_[id];
  if (slot && !slot->over()) return;
  old = std::exchange(slot, std::make_shared<Mirror>(id, std::move(plan), *this));
}

void Mirrors::stop(const std::string& id, milliseconds grace) {
  std::shared_ptr<Mirror> mirror;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = mirrors_.find(id);
    if (found == mirrors_.end()) return;
    mirror = std::move(found->second);
    mirrors_.erase(found);
  }
  mirror->stop(grace);
}

void Mirrors::stop_all() {
  std::vector<std::string> ids;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, mirror] : mirrors_) ids.push_back(id);
  }
  std::vector<std::thread> stoppers;
  for (const auto& id : ids) stoppers.emplace_back([this, id] { stop(id, milliseconds(2000)); });
  for (auto& stopper : stoppers) stopper.join();
}

Result<json::object> Mirrors::sync(const std::string& id, milliseconds timeout, bool durable) {
  const auto mirror = find(id);
  if (!mirror) return fail(ErrorKind::kUnavailable, "the sandbox is not running", "locki start");
  const auto deadline = steady_clock::now() + timeout;
  for (;;) {
    auto reply = mirror->ask({{"request", "sync"}, {"durable", durable}}, std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now())));
    // A worker that ends (and is started anew by itself) is no answer.
    const bool again = !reply && reply.error().kind() == ErrorKind::kUnavailable && !mirror->over() && steady_clock::now() < deadline;
    const std::string state = mirror->status().state;
    if (!again || state == "closed" || state == "stopped") return reply;
    std::this_thread::sleep_for(milliseconds(100));
  }
}

Result<json::object> Mirrors::ask(const std::string& id, json::object request, milliseconds timeout) {
  const auto mirror = find(id);
  if (!mirror) return fail(ErrorKind::kUnavailable, "the sandbox is not running", "locki start");
  return mirror->ask(std::move(request), timeout);
}

MirrorStatus Mirrors::status(const std::string& id) const {
  const auto mirror = find(id);
  return mirror ? mirror->status() : MirrorStatus{};
}

std::string Mirrors::take_recovered(const std::string& id) {
  const auto mirror = find(id);
  return mirror ? mirror->take_recovered() : "";
}

void Mirrors::note(const std::string& id, std::string_view text) {
  if (const auto mirror = find(id)) mirror->note(text);
}

}  // namespace locki::sandbox
