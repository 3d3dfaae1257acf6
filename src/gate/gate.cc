#include "gate/gate.h"

#include <signal.h>

#include <algorithm>
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
#include "sys/line_log.h"

namespace locki::gate {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kScratch = 64 << 10;
constexpr int kAcceptsInARow = 64;
static_assert((HostTable::kSize & (HostTable::kSize - 1)) == 0 && 256 % HostTable::kSize == 0);

// The client's first address, and the place in the table of hosts.
std::pair<Address, std::uint8_t> taken_apart(Address called) {
  if (called.family != Address::Family::kV4) return {called, 0};
  const auto place = static_cast<std::uint8_t>(called.bytes[3] % HostTable::kSize);
  called.bytes[3] = static_cast<std::uint8_t>(called.bytes[3] - place);
  return {called, place};
}

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
    Entrance entrance = Entrance::kExplicit;
    std::uint16_t port = 0;
    loop::FdWatch watch;
    loop::Timer pause;
  };

  loop::Loop& loop() override { return loop_; }
  const Upstream& upstream() const override { return config.upstream; }
  const GateLimits& limits() const override { return config.limits; }
  std::span<char> scratch() override { return scratch_; }
  PipePool& pipes() override { return pipes_; }
  void resolve(std::uint64_t session, std::string name) override;
  void record(AuditRecord record) override;
  void asking(std::uint64_t session, std::optional<Endpoint> target) override;
  void finished(std::uint64_t session) override;

  void add_listener(ListenerId id, std::unique_ptr<Listener> listener);
  void remove_listener(ListenerId id);
  void accept_from(ListenerId id);
  void begin(ListenerId id, const Listener& listener, sys::Fd client);
  void admit(const Address& at, std::shared_ptr<const Client> client);
  void dismiss(const Address& at);
  void end_sessions(const std::function<bool(const Session&)>& which);
  void forget(std::uint64_t session);

  // Order matters: what holds handles of the loop is declared after it, and so goes before it.
  loop::Loop loop_;
  GateConfig config;
  std::optional<sys::LineLog> log;
  std::shared_ptr<Mailbox> mailbox;
  std::array<char, kScratch> scratch_;
  PipePool pipes_;
  std::map<ListenerId, std::unique_ptr<Listener>> listeners;
  std::map<Address, std::shared_ptr<const Client>> clients;
  HostTable hosts;
  std::map<Address, std::size_t> open_of;  // connections of each client
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions;
  std::uint64_t next_session = 1;
  std::atomic<ListenerId> next_listener{1};
  struct {
    std::atomic<std::uint64_t> open{0}, accepted{0}, allowed{0}, refused{0}, failed{0}, bytes_out{0}, bytes_in{0};
  } counters;
  mutable std::mutex questions_mutex;
  std::map<std::uint64_t, Question> questions;  // by session
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
  if (log) log->write(to_json(record));
  if (config.on_record) config.on_record(record);
}

void Gate::Impl::asking(std::uint64_t session, std::optional<Endpoint> target) {
  const std::lock_guard lock(questions_mutex);
  if (!target) {
    questions.erase(session);
    return;
  }
  const Client& owner = sessions.at(session)->owner();
  questions[session] = {owner.id, owner.name, std::move(*target)};
}

void Gate::Impl::finished(std::uint64_t session) {
  loop_.post([this, session] { forget(session); });
}

void Gate::Impl::forget(std::uint64_t session) {
  const auto found = sessions.find(session);
  if (found == sessions.end()) return;
  const auto count = open_of.find(found->second->origin().at);
  if (count != open_of.end() && --count->second == 0) open_of.erase(count);
  sessions.erase(found);
  --counters.open;
}

void Gate::Impl::end_sessions(const std::function<bool(const Session&)>& which) {
  std::vector<std::uint64_t> ending;
  for (const auto& [id, session] : sessions)
    if (which(*session)) ending.push_back(id);
  for (const std::uint64_t id : ending) {
    sessions.at(id)->stop();
    forget(id);
  }
}

void Gate::Impl::add_listener(ListenerId id, std::unique_ptr<Listener> listener) {
  if (auto set = sys::set_nonblocking(listener->fd.get(), true); !set) return log::error("gate: {}", set.error().describe());
  auto watch = loop_.watch_fd(listener->fd.get(), {.read = true}, [this, id](loop::Ready) { accept_from(id); });
  if (!watch) return log::error("gate: {}", watch.error().describe());
  listener->watch = std::move(*watch);
  listeners[id] = std::move(listener);
}

void Gate::Impl::remove_listener(ListenerId id) {
  listeners.erase(id);
  end_sessions([id](const Session& session) { return session.origin().listener == id; });
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
    begin(id, listener, std::move(*client));
  }
}

void Gate::Impl::begin(ListenerId id, const Listener& listener, sys::Fd client) {
  const Address called = called_address(client.get()).value_or(Address{});
  const auto [at, place] = taken_apart(called);
  Origin origin{listener.entrance, listener.port, at, id, std::nullopt};
  if (const std::string& name = hosts.at(place); !name.empty()) origin.host = Host{name, std::nullopt};
  const auto owner = clients.find(at);
  const bool meaningless = place != HostTable::kAnyHost && !origin.host;
  if (owner == clients.end() || meaningless) {
    AuditRecord refused{.event = AuditRecord::Event::kRefused, .time = std::chrono::system_clock::now(), .port = listener.port, .address = called.to_string()};
    refused.rule = meaningless ? "no host" : "no sandbox";
    refused.reason = meaningless ? "the address that was called stands for no host" : "the address that was called is no sandbox's";
    record(std::move(refused));
    return reset_on_close(client.get());
  }
  const auto open_now = open_of.find(origin.at);
  const bool too_many = open_now != open_of.end() && open_now->second >= config.limits.connections_per_client;
  if (too_many || sessions.size() >= config.limits.connections) {
    if (listener.entrance == Entrance::kExplicit) (void)transmit(client.get(), refusal(503, "locki: too many connections at once"));
    return end_sending(client.get());
  }
  const std::uint64_t session_id = next_session++;
  auto session = std::make_unique<Session>(*this, session_id, origin, owner->second, std::move(client));
  Session& started = *session;
  sessions[session_id] = std::move(session);
  ++open_of[origin.at];
  ++counters.open;
  started.start();
}

void Gate::Impl::admit(const Address& at, std::shared_ptr<const Client> client) {
  clients[at] = client;
  // A session may end in recheck(), but is forgotten only later.
  for (auto& [id, session] : sessions)
    if (session->origin().at == at) session->recheck(client);
}

void Gate::Impl::dismiss(const Address& at) {
  clients.erase(at);
  end_sessions([&](const Session& session) { return session.origin().at == at; });
}

Gate::Gate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Gate>> Gate::start(GateConfig config) {
  if (!config.resolver) config.resolver = make_system_resolver();
  auto impl = std::make_unique<Impl>(std::move(config));
  if (!impl->config.log_path.empty()) {
    TRY_ASSIGN(impl->log, sys::LineLog::open(impl->config.log_path));
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

Gate::ListenerId Gate::serve(sys::Fd fd, Entrance entrance, std::uint16_t port) {
  const ListenerId id = impl_->next_listener++;
  auto listener = std::make_shared<std::unique_ptr<Impl::Listener>>(std::make_unique<Impl::Listener>());
  (*listener)->fd = std::move(fd);
  (*listener)->entrance = entrance;
  (*listener)->port = port;
  impl_->loop_.post([impl = impl_.get(), id, listener] { impl->add_listener(id, std::move(*listener)); });
  return id;
}

void Gate::stop_serving(ListenerId id) {
  impl_->loop_.post([impl = impl_.get(), id] { impl->remove_listener(id); });
}

void Gate::admit(const Address& at, Client client) {
  auto shared = std::make_shared<const Client>(std::move(client));
  impl_->loop_.post([impl = impl_.get(), at, shared] { impl->admit(at, shared); });
}

void Gate::dismiss(const Address& at) {
  impl_->loop_.post([impl = impl_.get(), at] { impl->dismiss(at); });
}

void Gate::name_hosts(HostTable hosts) {
  impl_->loop_.post([impl = impl_.get(), hosts = std::move(hosts)] { impl->hosts = hosts; });
}

std::vector<Question> Gate::questions() const {
  const std::lock_guard lock(impl_->questions_mutex);
  std::vector<Question> all;
  for (const auto& [session, question] : impl_->questions)
    if (std::find(all.begin(), all.end(), question) == all.end()) all.push_back(question);
  return all;
}

GateStats Gate::stats() const {
  const auto& c = impl_->counters;
  return {c.open, c.accepted, c.allowed, c.refused, c.failed, c.bytes_out, c.bytes_in};
}

}  // namespace locki::gate
