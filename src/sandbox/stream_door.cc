#include "sandbox/stream_door.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/log.h"
#include "gate/host_table.h"
#include "gate/socket_ops.h"

namespace locki::sandbox {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kBurst = 32;             // connections taken before those that are there have their turn
constexpr milliseconds kRest{500};     // when there is no descriptor for another connection
constexpr std::chrono::minutes kBetweenNotes{1};

// Somebody calls any of its 64 addresses.
gate::Address first_of(gate::Address called) {
  called.bytes[3] = static_cast<std::uint8_t>(called.bytes[3] & ~(gate::HostTable::kSize - 1U));
  return called;
}

// What a sandbox can repeat as often as it likes is not a line of the log each time.
class Refusals {
 public:
  void add(const std::optional<gate::Address>& caller, std::string_view why) {
    ++count_;
    const auto now = Clock::now();
    if (noted_ && now - *noted_ < kBetweenNotes) return;
    log::warning("streams: {} refused; the last, from {}, because {}", count_, caller ? caller->to_string() : "an unknown address", why);
    noted_ = now;
    count_ = 0;
  }

 private:
  std::size_t count_ = 0;
  std::optional<Clock::time_point> noted_;
};

}  // namespace

// Under the state's mutex, apart from what does not change.
struct StreamDoor::Waiting {
  const gate::Address caller;
  const std::string token;
  sys::Fd arrived;
  std::optional<Error> over;
};

struct StreamDoor::State {
  // Only the thread's.
  struct Unproven {
    sys::Fd fd;
    gate::Address caller;
    Clock::time_point until;
    std::string said;
  };

  explicit State(Limits given) : limits(given) {}
  void run();
  void take_new();
  bool rests() const { return Clock::now() < rest_until; }
  int patience() const;
  // True while it is to be kept.
  bool hear(Unproven& one);
  void refuse(sys::Fd fd, const std::optional<gate::Address>& caller, std::string_view why);
  std::size_t unproven_of(const gate::Address& caller) const {
    return static_cast<std::size_t>(std::count_if(unproven.begin(), unproven.end(), [&](const Unproven& one) { return one.caller == caller; }));
  }
  bool awaits(const gate::Address& caller) const {
    const std::scoped_lock lock(mutex);
    return expected.contains(caller);
  }
  bool hand_over(Unproven& one);
  // With the lock held: not expected any more, if it was.
  void forget(const Waiting& waiting) {
    const auto found = expected.find(waiting.caller);
    if (found != expected.end() && found->second.get() == &waiting) expected.erase(found);
  }
  void give_up(Waiting& waiting, Error why) {
    forget(waiting);
    if (!waiting.arrived && !waiting.over) waiting.over = std::move(why);
  }

  const Limits limits;
  std::mutex life;  // open() and close(), one after the other
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  std::map<gate::Address, std::shared_ptr<Waiting>> expected;
  std::thread thread;
  sys::Fd stop;  // readable: the thread ends

  // Only the thread's, while it runs.
  sys::Fd listener;
  std::vector<Unproven> unproven;
  Clock::time_point rest_until{};
  Refusals refusals;
};

void StreamDoor::State::run() {
  for (;;) {
    std::vector<pollfd> fds{{stop.get(), POLLIN, 0}, {rests() ? -1 : listener.get(), POLLIN, 0}};
    for (const Unproven& one : unproven) fds.push_back({one.fd.get(), POLLIN, 0});
    if (::poll(fds.data(), fds.size(), patience()) < 0) continue;
    if (fds[0].revents != 0) return;
    const auto now = Clock::now();
    std::size_t at = 2;
    std::erase_if(unproven, [&](Unproven& one) {
      // Also when it is late: we may be.
      if (fds[at++].revents != 0 && !hear(one)) return true;
      if (now < one.until) return false;
      refuse(std::move(one.fd), one.caller, "its token did not come in time");
      return true;
    });
    if (fds[1].revents != 0) take_new();
  }
}

int StreamDoor::State::patience() const {
  std::optional<Clock::time_point> next;
  if (rests()) next = rest_until;
  for (const Unproven& one : unproven) next = next ? std::min(*next, one.until) : one.until;
  if (!next) return -1;
  return static_cast<int>(std::max<long>(0, std::chrono::ceil<milliseconds>(*next - Clock::now()).count()));
}

void StreamDoor::State::take_new() {
  for (int i = 0; i < kBurst; ++i) {
    auto accepted = gate::accept_nonblocking(listener.get());
    if (!accepted) {
      if (accepted.error().kind() == ErrorKind::kNoSpace) rest_until = Clock::now() + kRest;
      return;  // one that was lost meanwhile costs the others of this turn nothing: they are still there
    }
    const auto called = gate::called_address(accepted->get());
    if (!called) {
      refuse(std::move(*accepted), std::nullopt, "it called no address");
      continue;
    }
    const gate::Address caller = first_of(*called);
    if (!awaits(caller)) {
      refuse(std::move(*accepted), caller, "nobody is expected from there");
    } else if (unproven.size() >= limits.unproven || unproven_of(caller) >= limits.unproven_each) {
      refuse(std::move(*accepted), caller, "too many are there that have not shown their token");
    } else {
      unproven.push_back({std::move(*accepted), caller, Clock::now() + limits.proof, {}});
    }
  }
}

bool StreamDoor::State::hear(Unproven& one) {
  // Not a byte more than the token: what follows is the stream's.
  char bytes[kStreamTokenSize];
  const auto got = gate::receive(one.fd.get(), {bytes, kStreamTokenSize - one.said.size()});
  if (got.state == gate::Transfer::State::kWouldBlock) return true;
  if (got.state != gate::Transfer::State::kDone) {
    refuse(std::move(one.fd), one.caller, "it ended before its token was complete");
    return false;
  }
  one.said.append(bytes, got.size);
  if (one.said.size() < kStreamTokenSize) return true;
  if (!hand_over(one)) refuse(std::move(one.fd), one.caller, "its token is another one");
  return false;
}

bool StreamDoor::State::hand_over(Unproven& one) {
  {
    const std::scoped_lock lock(mutex);
    const auto found = expected.find(one.caller);
    if (found == expected.end() || !same_secret(found->second->token, one.said)) return false;
    gate::tune(one.fd.get());
    found->second->arrived = std::move(one.fd);
    expected.erase(found);
  }
  changed.notify_all();
  return true;
}

// With a reset: an orderly end would leave us with what is left of the connection for a minute.
void StreamDoor::State::refuse(sys::Fd fd, const std::optional<gate::Address>& caller, std::string_view why) {
  gate::reset_on_close(fd.get());
  refusals.add(caller, why);
}

StreamDoor::Expected::Expected(std::shared_ptr<State> state, std::shared_ptr<Waiting> waiting) : state_(std::move(state)), waiting_(std::move(waiting)) {}

StreamDoor::Expected::~Expected() {
  const std::scoped_lock lock(state_->mutex);
  state_->forget(*waiting_);
}

const std::string& StreamDoor::Expected::token() const { return waiting_->token; }

Result<sys::Fd> StreamDoor::Expected::wait(milliseconds timeout) {
  std::unique_lock lock(state_->mutex);
  (void)state_->changed.wait_for(lock, timeout, [&] { return waiting_->arrived || waiting_->over; });
  if (waiting_->arrived) return std::move(waiting_->arrived);
  state_->give_up(*waiting_, Error(ErrorKind::kTimeout, "nobody came in time"));  // from here on it would be too late
  return fail(Error(*waiting_->over));
}

void StreamDoor::Expected::cancel() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->give_up(*waiting_, Error(ErrorKind::kCancelled, "it is not waited for any longer"));
  }
  state_->changed.notify_all();
}

StreamDoor::StreamDoor() : StreamDoor(Limits{}) {}
StreamDoor::StreamDoor(Limits limits) : state_(std::make_shared<State>(limits)) {}
StreamDoor::~StreamDoor() { close(); }

bool StreamDoor::is_open() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->open;
}

Result<> StreamDoor::open(sys::Fd listener) {
  const std::scoped_lock one(state_->life);
  if (is_open()) return {};
  TRY(sys::set_nonblocking(listener.get(), true));
  sys::Fd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return fail_errno(errno, "cannot make an eventfd");
  state_->stop = std::move(stop);
  state_->listener = std::move(listener);
  state_->thread = std::thread([state = state_.get()] { state->run(); });  // close() waits for it
  const std::scoped_lock lock(state_->mutex);
  state_->open = true;
  return {};
}

void StreamDoor::close() {
  const std::scoped_lock one(state_->life);
  {
    const std::scoped_lock lock(state_->mutex);
    if (!state_->open) return;
    state_->open = false;
    for (auto& [caller, waiting] : std::exchange(state_->expected, {})) state_->give_up(*waiting, Error(ErrorKind::kUnavailable, "the machine has ended"));
  }
  state_->changed.notify_all();
  (void)::eventfd_write(state_->stop.get(), 1);
  state_->thread.join();
  state_->unproven.clear();
  state_->listener.reset();
}

Result<std::unique_ptr<StreamDoor::Expected>> StreamDoor::expect(const gate::Address& caller) {
  const auto waiting = std::make_shared<Waiting>(Waiting{.caller = caller, .token = random_hex(kStreamTokenSize / 2)});
  {
    const std::scoped_lock lock(state_->mutex);
    if (!state_->open) return fail(ErrorKind::kUnavailable, "no port is open for it");
    auto& place = state_->expected[caller];
    if (const auto before = std::exchange(place, waiting)) state_->give_up(*before, Error(ErrorKind::kUnavailable, "another one is expected in its place"));
  }
  state_->changed.notify_all();
  return std::make_unique<Expected>(state_, waiting);
}

}  // namespace locki::sandbox
