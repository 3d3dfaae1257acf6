// When what was agreed is on the disks of both sides: asks each to write everything down, the far end by a Flush and the
// host's file systems by a thread of ours, and notes in the base up to where everything is safe. Soon after things have
// become idle, and every ten seconds while they are not. Part of a session; one thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mirror/base_store.h"
#include "mirror/control.h"
#include "mirror/door.h"
#include "mirror/stream.h"
#include "sys/flush.h"

namespace locki::mirror {

// What a far end's disk says of the marks (wire::FarHello): how many it knows of; 0 when it is of another sandbox, or none.
std::string mark_name(const std::string& instance, std::uint64_t number);
std::uint64_t mark_number(const std::string& instance, std::string_view name);

class Durability {
 public:
  using Clock = std::chrono::steady_clock;
  struct Context {
    Stream* stream;
    Door* door;
    BaseStore* base;
    wire::Id* last_id;
    std::function<void(Event)> tell;
  };
  // `disks`: a descriptor on each file system of the host's that matters: the worktree first, the repository, our own.
  // (Commits and the history are on disk when they are noted: git/command.h.)
  Durability(std::vector<sys::Fd> disks, Context context);

  // Begins when it is time, ends what is over. `idle`: nothing is on its way. kNoSpace when what is in doubt has grown
  // beyond what an honest far end lets it grow to.
  Result<> step(Clock::time_point now, bool idle);
  // Now, not later.
  void hurry() { hurried_ = true; }
  bool owns(wire::Id id) const { return id == far_id_; }
  void done(const wire::Done& done);

  // Something is not on both disks yet.
  bool wanted() const { return pending_ || !context_.base->trail().empty() || context_.base->marks() == 0; }
  int fd() const { return pending_ && pending_->host ? pending_->host->fd() : -1; }
  // When step() has something to do by itself; nullopt: nothing is wanted.
  std::optional<Clock::time_point> next() const;

 private:
  struct Pending {
    std::uint64_t position = 0;
    bool idle = false;
    Clock::time_point begun;
    std::optional<sys::Flush> host;
    bool far_done = false;
  };
  Result<sys::Flush> begin_host() const;
  Result<> begin(Clock::time_point now, bool idle);
  Result<> end(Clock::time_point now);
  void failed(const std::string& why, Clock::time_point now);

  std::vector<sys::Fd> disks_;
  Context context_;
  std::optional<Pending> pending_;
  std::string far_problem_, told_;
  wire::Id far_id_ = 0;
  std::optional<Clock::time_point> since_, idle_since_;  // something is in doubt; and nothing moves
  Clock::time_point not_before_{};
  bool hurried_ = false;
};

}  // namespace locki::mirror
