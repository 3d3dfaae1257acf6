#include "gate/gate.h"

#include <signal.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "gate/session.h"
#include "gate/socket_ops.h"

namespace locki::gate {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kScratch = 64 << 10;
constexpr int kAcceptsInARow = 64;

// Lets a resolver's thread reach the loop for as long as there is one.
class Mailbox {
 public:
  explicit Mailbox(loop::Loop& loop) : loop_(&loop) {}
  void post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    if (loop_ != nullptr) loop_->post(std::move(work));
  }
  void close() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
  }

 private:
  std::mutex mutex_;
  loop::Loop* loop_;
};

}  // namespace

struct Gate::Impl final : SessionHost {
  explicit Impl(GateConfig given) : config(std::move(given)), mailbox(std::make_shared<Mailbox>(loop_)) {}

  struct Listener {
    sys::Fd fd;
    std::string origin;
    std::size_t open = 0;
    loop::FdWatch watch;
    loop::Timer pause;
  };

  loop::Loop& loop() override { return loop_; }
  const Policy& policy() const override { return config.policy; }
  const Upstream& upstream() const override { return config.upstream; }
  const GateLimits& limits() const override { return config.limits; }
  std::span<char> scratch() override { return scratch_; }
  void resolve(std::uint64_t session, std::string name) override;
  void record(AuditRecord record) override;
  void finished(std::uint64_t session) override;

  void add_listener(ListenerId id, sys::Fd fd, std::string origin);
  void remove_listener(ListenerId id);
  void accept_from(ListenerId id);
  void replace_policy(Policy policy);

  // Order matters: what holds handles of the loop is declared after it, and so goes before it.
  loop::Loop loop_;
  GateConfig config;
  std::optional<AuditLog> log;
  std::shared_ptr<Mailbox> mailbox;
  std::array<char, kScratch> scratch_;
  std::map<ListenerId, std::unique_ptr<Listener>> listeners;
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions;
  std::uint64_t next_session = 1;
  std::atomic<ListenerId> next_listener{1};
  struct {
    std::atomic<std::uint64_t> open{0}, accepted{0}, allowed{0}, refused{0}, failed{0}, bytes_out{0}, bytes_in{0};
  } counters;
  std::thread thread;
};

void Gate::Impl::resolve(std::uint64_t session, std::string name) {
  config.resolver->resolve(std::move(name), [this, session, box = mailbox](Result<std::vector<Address>> result) {
    // `this` is used on the loop's thread only, and the mailbox is closed before it goes.
    auto shared = std::make_shared<Result<std::vector<Address>>>(std::move(result));
    box->post([this, session, shared] {
      const auto found = sessions.find(session);
      if (found != sessions.end()) found->second->on_resolved(std::move(*shared));
    });
  });
}

void Gate::Impl::record(AuditRecord record) {
  using Event = AuditRecord::Event;
  if (record.event == Event::kOpened) ++counters.allowed;
  if (record.event == Event::kRefused) ++counters.refused;
  if (record.event == Event::kFailed) ++counters.failed;
  counters.bytes_out += record.bytes_out;
  counters.bytes_in += record.bytes_in;
  if (log) log->write(record);
  if (config.on_record) config.on_record(record);
}

void Gate::Impl::finished(std::uint64_t session) {
  loop_.post([this, session] {
    const auto found = sessions.find(session);
    if (found == sessions.end()) return;
    const auto listener = listeners.find(found->second->listener());
    sessions.erase(found);
    --counters.open;
    if (listener != listeners.end()) --listener->second->open;
  });
}

void Gate::Impl::add_listener(ListenerId id, sys::Fd fd, std::string origin) {
  if (auto set = sys::set_nonblocking(fd.get(), true); !set) return log::error("gate: {}", set.error().describe());
  auto listener = std::make_unique<Listener>();
  listener->fd = std::move(fd);
  listener->origin = std::move(origin);
  auto watch = loop_.watch_fd(listener->fd.get(), {.read = true}, [this, id](loop::Ready) { accept_from(id); });
  if (!watch) return log::error("gate: {}", watch.error().describe());
  listener->watch = std::move(*watch);
  listeners[id] = std::move(listener);
}

void Gate::Impl::remove_listener(ListenerId id) {
  listeners.erase(id);
  for (auto it = sessions.begin(); it != sessions.end();) {
    if (it->second->listener() != id) {
      ++it;
      continue;
    }
    it->second->stop();
    it = sessions.erase(it);
    --counters.open;
  }
}

void Gate::Impl::accept_from(ListenerId id) {
  Listener& listener = *listeners.at(id);
  for (int i = 0; i < kAcceptsInARow; ++i) {
    auto client = accept_nonblocking(listener.fd.get());
    if (!client && client.error().kind() == ErrorKind::kUnavailable) return;
    if (!client && client.error().kind() == ErrorKind::kNoSpace) {
      // Trying again at once would spin; connections that end make room.
      log::warning("gate: out of descriptors");
      listener.watch.want({});
      listener.pause = loop_.after(200ms, [&listener] { listener.watch.want({.read = true}); });
      return;
    }
    if (!client) continue;
    ++counters.accepted;
    if (listener.open >= config.limits.connections_per_listener) {
      (void)transmit(client->get(), refusal(503, "locki: too many connections at once"));
      end_sending(client->get());
      continue;
    }
    const std::uint64_t session_id = next_session++;
    auto session = std::make_unique<Session>(*this, session_id, id, listener.origin, std::move(*client));
    Session& started = *session;
    sessions[session_id] = std::move(session);
    ++listener.open;
    ++counters.open;
    started.start();
  }
}

void Gate::Impl::replace_policy(Policy policy) {
  config.policy = std::move(policy);
  for (auto& [id, session] : sessions) session->recheck();
}

Gate::Gate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Gate>> Gate::start(GateConfig config) {
  if (!config.resolver) config.resolver = make_system_resolver();
  auto impl = std::make_unique<Impl>(std::move(config));
  if (!impl->config.log_path.empty()) {
    TRY_ASSIGN(impl->log, AuditLog::open(impl->config.log_path));
  }
  // The daemon's signals are for its main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl->thread = std::thread([raw = impl.get()] { raw->loop_.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return std::unique_ptr<Gate>(new Gate(std::move(impl)));
}

Gate::~Gate() {
  // Connections get their last line in the log, and sockets are closed on the thread that owns them.
  impl_->loop_.post([impl = impl_.get()] {
    while (!impl->listeners.empty()) impl->remove_listener(impl->listeners.begin()->first);
    impl->loop_.stop();
  });
  impl_->thread.join();
  impl_->mailbox->close();
}

Gate::ListenerId Gate::serve(sys::Fd listener, std::string origin) {
  const ListenerId id = impl_->next_listener++;
  auto shared = std::make_shared<sys::Fd>(std::move(listener));
  impl_->loop_.post([impl = impl_.get(), id, shared, origin = std::move(origin)]() mutable {
    impl->add_listener(id, std::move(*shared), std::move(origin));
  });
  return id;
}

void Gate::stop_serving(ListenerId id) {
  impl_->loop_.post([impl = impl_.get(), id] { impl->remove_listener(id); });
}

void Gate::update(Policy policy) {
  auto shared = std::make_shared<Policy>(std::move(policy));
  impl_->loop_.post([impl = impl_.get(), shared] { impl->replace_policy(std::move(*shared)); });
}

GateStats Gate::stats() const {
  const auto& c = impl_->counters;
  return {c.open, c.accepted, c.allowed, c.refused, c.failed, c.bytes_out, c.bytes_in};
}

}  // namespace locki::gate
