// The running mirrors: for each sandbox that is up, one worker process (libexec/locki/mirror) on this side, one endpoint in the container,
// and a thread that joins them and starts them anew when either ends. Thread-safe.
//
// The worker is a process of its own so that what parses the sandbox's bytes holds no keys and can be confined. Its socket is the connection that the
// endpoint dialled (stream_door.h); where there is no such way, the daemon carries the bytes between it and the exec stream.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "incus/client.h"
#include "mirror/control.h"
#include "sandbox/far_end.h"

namespace locki::sandbox {

struct MirrorStatus {
  // stopped | starting | busy | quiet (both sides agree) | failed (starts anew) | closed (the sandbox broke the rules: the user decides)
  std::string state = "stopped";
  std::size_t conflicts = 0;
  std::set<std::string> held;                // paths that wait for the user's review
  std::map<std::string, std::string> stuck;  // paths that cannot be carried now, and why
  std::string refused;                       // why the sandbox's commits do not come out; "" when they do
  std::string branch_stuck;                  // why the branch cannot travel, with git's words; "" when it can
  std::string problem;
  std::string recovered;             // what was put back after a crash; stays while the mirror runs
  std::deque<mirror::Event> events;  // the newest last, at most 100
};

// What starts a mirror; called again for every new attempt. An error ends the attempt, not the mirror.
struct MirrorPlan {
  std::string instance;
  std::vector<std::string> endpoint;  // argv inside
  std::optional<StreamWay> way;       // how it reaches the door, if it can
  mirror::StartSettings settings;
  std::chrono::milliseconds begin_after{0};  // unless it is asked something before
};

// The answer to a sync: nothing is in the way that keeps a file or a commit inside. (Held files are a matter of their own.)
bool all_came_out(const json::object& sync_reply);

class Mirrors {
 public:
  using Connect = std::function<Result<std::shared_ptr<incus::Client>>()>;
  // Told of every event but "caught-up"; on the mirror's thread, must not block.
  using Observe = std::function<void(const std::string& id, const mirror::Event& event)>;
  // `door`, if any, outlives this.
  Mirrors(std::filesystem::path libexec, std::filesystem::path log, Connect connect, Observe observe = {}, StreamDoor* door = nullptr);
  ~Mirrors();

  // Returns at once; a mirror of that id that runs already is left alone, a closed one is opened again.
  void start(const std::string& id, MirrorPlan plan);
  // Orderly: what is under way is finished first, up to the grace time. Absent is fine.
  void stop(const std::string& id, std::chrono::milliseconds grace = std::chrono::seconds(5));
  void stop_all();
  // Returns when both sides agreed at some moment after the call. kTimeout, kUnavailable (not running), or why the mirror is closed.
  // `durable`: and both have it on disk.
  Result<json::object> sync(const std::string& id, std::chrono::milliseconds timeout, bool durable = false);
  // Any request to the worker (mirror/control.h); its answer, or the error it gave.
  Result<json::object> ask(const std::string& id, json::object request, std::chrono::milliseconds timeout);
  MirrorStatus status(const std::string& id) const;
  // What was put back after a crash, if nobody was told yet.
  std::string take_recovered(const std::string& id);
  // A line for whoever works inside.
  void note(const std::string& id, std::string_view text);

 private:
  class Mirror;
  std::shared_ptr<Mirror> find(const std::string& id) const;

  std::filesystem::path libexec_, log_;
  Connect connect_;
  Observe observe_;
  StreamDoor* door_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Mirror>> mirrors_;
};

}  // namespace locki::sandbox
