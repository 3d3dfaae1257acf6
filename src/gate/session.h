// One connection of a client, from its first byte to its last: head, decision, addresses, connection, relay. Loop
// thread only; internal to the gate.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gate/audit.h"
#include "gate/gate.h"
#include "gate/http_head.h"
#include "gate/opener.h"
#include "gate/relay.h"
#include "loop/loop.h"

namespace locki::gate {

// Where a connection came in, and whose it is.
struct Origin {
  Entrance entrance = Entrance::kExplicit;
  std::uint16_t port = 0;  // that was called
  Address at;              // the client's first address
  std::uint64_t listener = 0;
  std::optional<Host> host;  // that the called address stands for
};

// What a session needs from the gate around it.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual loop::Loop& loop() = 0;
  virtual const Upstream& upstream() const = 0;
  virtual const GateLimits& limits() const = 0;
  virtual std::span<char> scratch() = 0;
  virtual PipePool& pipes() = 0;
  // on_resolved() of that session is called later on the loop's thread, unless the session has ended.
  virtual void resolve(std::uint64_t session, std::string name) = 0;
  virtual void record(AuditRecord record) = 0;
  // The session waits for the user's word about that target; nullopt: no more.
  virtual void asking(std::uint64_t session, std::optional<Endpoint> target) = 0;
  // The session is over; destroys it later, never from within the call.
  virtual void finished(std::uint64_t session) = 0;
};

class Session {
 public:
  Session(SessionHost& host, std::uint64_t id, const Origin& origin, std::shared_ptr<const Client> owner, sys::Fd client);
  void start();
  void on_resolved(Result<std::vector<Address>> addresses);
  // Its client's policy has changed: ends it when its target is no longer allowed, goes on when it waited for just that.
  void recheck(std::shared_ptr<const Client> owner);
  // Ends it now, with its last line in the log. The gate is going away or its listener is.
  void stop();
  const Origin& origin() const { return origin_; }
  const Client& owner() const { return *owner_; }

 private:
  enum class State { kHead, kAsking, kResolving, kConnecting, kUpstream, kSwitching, kRelaying, kAnswering, kOver };

  void read_opening();
  bool choose_opener();
  void advance_opening();
  void decide_target();
  void follow_decision();
  void ask_user();
  void look_whether_gone();
  void find_addresses(const Host& host);
  void use_addresses(std::vector<Address> addresses);
  void connect_next();
  void connect_to(const Address& address);
  void on_connected();
  void ask_upstream();
  void read_upstream();
  void offer_websocket();
  void await_websocket();
  std::optional<ReplyHead> read_reply(std::string_view who);
  void start_relay(std::string to_client, std::string from_server = {});
  void on_relay_end(const Relay::End& end);

  void reject(int status, std::string_view reason);                // the client's own mistake
  void refuse(std::string_view reason, std::string address = {});  // 403
  void fail_with(int status, std::string_view reason);             // allowed, but it does not work
  void answer(int status, std::string_view reason);                // sends it and waits for the client to take it
  void drain();
  void over();
  void set_deadline(std::chrono::milliseconds limit, std::function<void()> action);
  void record(AuditRecord::Event event, std::string_view reason, std::string address = {});
  Result<loop::FdWatch> watch(int fd, loop::Interest interest, void (Session::*action)());
  void guard(void (Session::*action)());

  SessionHost& host_;
  const std::uint64_t id_;
  const Origin origin_;
  std::shared_ptr<const Client> owner_;
  const std::chrono::steady_clock::time_point begun_;
  State state_ = State::kHead;
  sys::Fd client_, server_;
  loop::FdWatch client_watch_, server_watch_;
  loop::Timer deadline_;
  std::string received_;  // from the client, then (kUpstream, kSwitching) reply_ from the other side
  std::string reply_;
  std::string offer_;          // kSwitching: not sent yet
  std::size_t offered_ = 0;    // bytes of it that were
  bool switched_ = false;      // it is a WebSocket now
  std::unique_ptr<Opener> opener_;
  std::unique_ptr<ClientFilter> filter_;
  RequestHead head_;
  Decision decision_;
  const UpstreamProxy* proxy_ = nullptr;  // chain through it
  std::vector<Address> addresses_;        // checked, still to be tried, last first
  std::uint16_t port_ = 0;
  std::string connected_to_;
  std::string last_error_;
  std::size_t drained_ = 0;
  std::unique_ptr<Relay> relay_;
};

}  // namespace locki::gate
