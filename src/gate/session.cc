#include "gate/session.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

#include "base/log.h"
#include "base/strings.h"
#include "gate/socket_ops.h"

namespace locki::gate {
namespace {

using namespace std::chrono_literals;
using Event = AuditRecord::Event;

constexpr std::size_t kMaxAttempts = 4;
constexpr std::size_t kMaxReply = 16 << 10;   // the head of an answer to CONNECT or to an upgrade
constexpr std::size_t kMaxDrain = 256 << 10;  // what a client may still send after a refusal

// The families in turn, so that a broken IPv6 costs one attempt; in reverse, because they are taken from the end.
std::vector<Address> order_of_attempts(const std::vector<Address>& addresses) {
  std::vector<Address> first, second, ordered;
  for (const Address& each : addresses) (each.family == addresses.front().family ? first : second).push_back(each);
  for (std::size_t i = 0; i < std::max(first.size(), second.size()) && ordered.size() < kMaxAttempts; ++i) {
    if (i < first.size()) ordered.push_back(first[i]);
    if (i < second.size() && ordered.size() < kMaxAttempts) ordered.push_back(second[i]);
  }
  std::reverse(ordered.begin(), ordered.end());
  return ordered;
}

// As the user would have to write it: web ports are implied.
std::string as_rule_target(const Endpoint& endpoint) {
  const std::string whole = endpoint.to_string();
  return is_web(endpoint.port) ? whole.substr(0, whole.rfind(':')) : whole;
}

std::string refusal_text(const Policy& policy, const Endpoint& target, const Decision& decision) {
  const std::string shown = as_rule_target(target);
  if (policy.mode == Mode::kOff) return fmt::format("{} is out of reach: the network is switched off", shown);
  if (decision.rule == "no service")
    return fmt::format("{} is not a service that the user has named in the config ([net.services])", shown);
  if (!decision.source.empty()) return fmt::format("{} is denied by the rule \"{}\"", shown, decision.rule);
  if (policy.mode == Mode::kOpen) return fmt::format("{} is refused: {}", shown, decision.reason);
  return fmt::format("{0} is not on the allow list; the user can allow it on the host with: locki net allow {0}",
                     shown);
}

}  // namespace

Session::Session(SessionHost& host, std::uint64_t id, const Origin& origin, std::shared_ptr<const Client> owner, sys::Fd client)
    : host_(host),
      id_(id),
      origin_(origin),
      owner_(std::move(owner)),
      begun_(std::chrono::steady_clock::now()),
      client_(std::move(client)) {}

void Session::start() {
  tune(client_.get());
  auto watched = watch(client_.get(), {.read = true}, &Session::read_opening);
  if (!watched) return over();
  client_watch_ = std::move(*watched);
  // On the ports of the web every protocol names its host, and each request is decided on. On others the address did, and whoever speaks
  // first may; but a refusal is told in the client's own protocol.
  if (origin_.entrance == Entrance::kTransparent && !is_web(origin_.port) && origin_.host) {
    const Endpoint target{*origin_.host, origin_.port};
    const Decision decision = decide(owner_->policy, target);
    if (decision.allowed || decision.ask) {
      opener_ = make_fixed_opener(target);
      return advance_opening();
    }
  }
  set_deadline(host_.limits().head_time, [this] { reject(408, "the request took too long to arrive"); });
}

void Session::read_opening() {
  const std::size_t limit = host_.limits().head_bytes;
  const std::span<char> scratch = host_.scratch();
  const Transfer got = receive(client_.get(), scratch.first(std::min(scratch.size(), limit - received_.size())));
  if (got.state == Transfer::State::kWouldBlock) return;
  if (got.state != Transfer::State::kDone) return over();
  received_.append(scratch.data(), got.size);
  if (!opener_ && !choose_opener()) return;
  advance_opening();
}

// False: nothing to go on with, or the session has gone its way.
bool Session::choose_opener() {
  if (origin_.entrance == Entrance::kExplicit) {
    opener_ = explicit_opener(received_.front());
    return true;
  }
  Guess guess = transparent_opener(received_, origin_.port);
  if (guess.more) return false;
  if (!guess.opener) {
    reject(400, fmt::format("what came to port {0} is neither TLS nor HTTP, and no rule names the host that was looked up with this port: locki net allow HOST:{0}, "
                            "and look its name up again",
                            origin_.port));
    return false;
  }
  opener_ = std::move(guess.opener);
  // From now on it is a head that is waited for, not the first byte.
  set_deadline(host_.limits().head_time, [this] { reject(408, "the request took too long to arrive"); });
  return true;
}

void Session::advance_opening() {
  Opener::Step step = opener_->take(received_);
  // A few bytes to a connection that has sent nothing yet: they fit.
  if (!step.reply.empty() && transmit(client_.get(), step.reply).size != step.reply.size()) return over();
  received_.erase(0, step.taken);
  if (step.state == Opener::Step::State::kBad) return reject(step.status, step.reason);
  if (step.state == Opener::Step::State::kMore) {
    if (received_.size() >= host_.limits().head_bytes) reject(431, "the request's head is too long");
    return;
  }
  filter_ = opener_->filter();
  head_ = std::move(opener_->head());
  decide_target();
}

void Session::decide_target() {
  client_watch_.cancel();
  decision_ = decide(owner_->policy, head_.target);
  if (decision_.ask) return ask_user();
  if (!decision_.allowed) return refuse(refusal_text(owner_->policy, head_.target, decision_));
  follow_decision();
}

void Session::ask_user() {
  state_ = State::kAsking;
  record(Event::kAsked, "waits for: locki net watch");
  host_.asking(id_, head_.target);
  set_deadline(owner_->policy.ask_time, [this] {
    host_.asking(id_, std::nullopt);
    refuse(refusal_text(owner_->policy, head_.target, decision_));
  });
  auto watched = watch(client_.get(), {.read = true}, &Session::look_whether_gone);
  if (watched) client_watch_ = std::move(*watched);
}

// Nobody shall be asked for a client that has given up. (One that only ended its side counts as gone: who waits for an answer keeps it open.)
void Session::look_whether_gone() {
  char next = 0;
  const ssize_t n = ::recv(client_.get(), &next, 1, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  // It sends ahead: what comes is read when there is a place for it, and an end behind it is seen then.
  if (n > 0) return client_watch_.want({});
  host_.asking(id_, std::nullopt);
  record(Event::kRefused, "the client gave up before the user decided");
  over();
}

void Session::follow_decision() {
  port_ = head_.target.port;
  if (decision_.service) {
    // The one case in which no address is checked: the user named this very address.
    port_ = decision_.service->port;
    addresses_ = {decision_.service->address};
    state_ = State::kConnecting;
    set_deadline(host_.limits().connect_time, [this] { fail_with(504, "connecting took too long"); });
    return connect_next();
  }
  proxy_ = host_.upstream().select(head_.target, head_.connect);
  if (proxy_ != nullptr) {
    // A literal can be checked here even though the upstream proxy makes the connection.
    if (head_.target.host.address)
      if (auto why = forbidden(*head_.target.host.address, own_addresses()))
        return refuse(fmt::format("{} can never be reached: {}", head_.target.host.name, *why), head_.target.host.name);
    port_ = proxy_->endpoint.port;
    return find_addresses(proxy_->endpoint.host);
  }
  find_addresses(head_.target.host);
}

void Session::find_addresses(const Host& host) {
  state_ = State::kResolving;
  if (host.address) return use_addresses({*host.address});
  set_deadline(host_.limits().resolve_time, [this] { fail_with(504, "resolving the name took too long"); });
  host_.resolve(id_, host.name);
}

void Session::on_resolved(Result<std::vector<Address>> addresses) {
  if (state_ != State::kResolving) return;
  if (!addresses) return fail_with(502, addresses.error().message());
  if (addresses->empty()) return fail_with(502, "the name has no address");
  use_addresses(std::move(*addresses));
}

void Session::use_addresses(std::vector<Address> addresses) {
  if (proxy_ == nullptr) {
    const std::vector<Address> own = own_addresses();
    std::string refused, why_refused;
    std::erase_if(addresses, [&](const Address& each) {
      const auto why = forbidden(each, own);
      if (why && refused.empty()) {
        refused = each.to_string();
        why_refused = *why;
      }
      return why.has_value();
    });
    if (addresses.empty())
      return refuse(
          fmt::format("{} is at {}, which can never be reached: {}", head_.target.host.name, refused, why_refused),
          refused);
  }
  addresses_ = order_of_attempts(addresses);
  state_ = State::kConnecting;
  set_deadline(host_.limits().connect_time, [this] { fail_with(504, "connecting took too long"); });
  connect_next();
}

void Session::connect_next() {
  server_watch_.cancel();
  server_.reset();
  while (!addresses_.empty()) {
    const Address address = addresses_.back();
    addresses_.pop_back();
    connected_to_ = address.to_string();
    auto connecting = start_connect(address, port_);
    if (!connecting) {
      last_error_ = connecting.error().message();
      continue;
    }
    server_ = std::move(connecting->fd);
    if (connecting->done) return on_connected();
    auto watched = watch(server_.get(), {.write = true}, &Session::on_connected);
    if (!watched) return fail_with(502, watched.error().message());
    server_watch_ = std::move(*watched);
    // A share of the time for each address that is left, so that one black hole does not use it all up.
    const auto share = host_.limits().connect_time / static_cast<int>(addresses_.size() + 1);
    if (!addresses_.empty())
      set_deadline(share, [this] { connect_next(); });
    else
      set_deadline(share, [this] { fail_with(504, "connecting took too long"); });
    return;
  }
  fail_with(502, last_error_.empty() ? "cannot connect" : last_error_);
}

void Session::on_connected() {
  if (const int error = connect_error(server_.get()); error != 0) {
    last_error_ = errno_error(error, "cannot connect").message();
    return connect_next();
  }
  server_watch_.cancel();
  tune(server_.get());
  if (proxy_ != nullptr && head_.connect) return ask_upstream();
  if (proxy_ == nullptr && head_.websocket) return offer_websocket();
  start_relay(opener_->accepted());
}

void Session::ask_upstream() {
  state_ = State::kUpstream;
  const std::string request = connect_for_upstream(head_.target, proxy_->authorization);
  const Transfer sent = transmit(server_.get(), request);
  // It fits into the buffer of a connection that is new.
  if (sent.state != Transfer::State::kDone || sent.size != request.size())
    return fail_with(502, "the upstream proxy takes no request");
  auto watched = watch(server_.get(), {.read = true}, &Session::read_upstream);
  if (!watched) return fail_with(502, watched.error().message());
  server_watch_ = std::move(*watched);
  set_deadline(host_.limits().connect_time, [this] { fail_with(504, "the upstream proxy took too long"); });
}

// The head of the other side's answer. nullopt: it is not whole yet, or the session has gone its way.
std::optional<ReplyHead> Session::read_reply(std::string_view who) {
  const std::span<char> scratch = host_.scratch();
  const Transfer got = receive(server_.get(), scratch.first(std::min(scratch.size(), kMaxReply - reply_.size())));
  if (got.state == Transfer::State::kWouldBlock) return std::nullopt;
  if (got.state != Transfer::State::kDone) {
    fail_with(502, fmt::format("the {} ended the connection", who));
    return std::nullopt;
  }
  reply_.append(scratch.data(), got.size);
  const ReplyHead reply = parse_reply_head(reply_);
  if (reply.state == HeadResult::State::kIncomplete && reply_.size() < kMaxReply) return std::nullopt;
  if (reply.state != HeadResult::State::kComplete) {
    fail_with(502, fmt::format("the {} does not answer in HTTP", who));
    return std::nullopt;
  }
  server_watch_.cancel();
  return reply;
}

void Session::read_upstream() {
  const auto reply = read_reply("upstream proxy");
  if (!reply) return;
  if (reply->status / 100 != 2) return fail_with(502, fmt::format("the upstream proxy answered {}", reply->status));
  start_relay(opener_->accepted(), reply_.substr(reply->size));
}

// Until the server has agreed to leave HTTP nothing more of the client's passes: it would be a second request, which nobody has decided on.
void Session::offer_websocket() {
  state_ = State::kSwitching;
  offer_ = head_for_origin(head_);
  auto watched = watch(server_.get(), {.read = true, .write = true}, &Session::await_websocket);
  if (!watched) return fail_with(502, watched.error().message());
  server_watch_ = std::move(*watched);
  set_deadline(host_.limits().head_time, [this] { fail_with(504, "the server took too long to answer"); });
}

void Session::await_websocket() {
  if (!offer_.empty()) {
    const Transfer sent = transmit(server_.get(), offer_);
    if (sent.state == Transfer::State::kBroken) return fail_with(502, "the server ended the connection");
    offer_.erase(0, sent.size);
    offered_ += sent.size;
    server_watch_.want({.read = true, .write = !offer_.empty()});
  }
  const auto reply = read_reply("server");
  if (!reply) return;
  switched_ = reply->status == 101;
  start_relay("", std::move(reply_));
}

void Session::start_relay(std::string to_client, std::string from_server) {
  state_ = State::kRelaying;
  deadline_.cancel();
  record(Event::kOpened, decision_.reason);
  const GateLimits& limits = host_.limits();
  Relay::Setup setup{.client = std::move(client_),
                     .server = std::move(server_),
                     .to_client = std::move(to_client),
                     .idle = limits.idle_time,
                     .half_closed_idle = limits.half_closed_idle_time,
                     .filter_time = limits.head_time,
                     .scratch = host_.scratch(),
                     .pipes = &host_.pipes(),
                     .owner = origin_.at};
  setup.from_server = std::move(from_server);
  setup.from_client = std::move(received_);
  setup.sent = offered_;
  const bool one_request = !head_.connect && !switched_;
  setup.single_response = one_request;
  if (one_request && offered_ == 0)
    setup.to_server = proxy_ != nullptr ? head_for_upstream(head_, proxy_->authorization) : head_for_origin(head_);
  // What passes through a tunnel to a service is the user's own business.
  if (one_request || (head_.connect && !decision_.service)) setup.filter = std::move(filter_);
  head_.headers.clear();
  relay_ =
      std::make_unique<Relay>(host_.loop(), std::move(setup), [this](const Relay::End& end) { on_relay_end(end); });
  relay_->start();
}

void Session::on_relay_end(const Relay::End& end) {
  record(end.refused ? Event::kRefused : Event::kClosed, end.reason);
  over();
}

void Session::recheck(std::shared_ptr<const Client> owner) {
  owner_ = std::move(owner);
  if (state_ == State::kHead || state_ == State::kAnswering || state_ == State::kOver) return;
  Decision now = decide(owner_->policy, head_.target);
  if (state_ == State::kAsking) {
    if (now.ask) return;
    host_.asking(id_, std::nullopt);
    return decide_target();
  }
  if (now.allowed && now.service == decision_.service) return;
  decision_ = std::move(now);
  if (state_ == State::kRelaying) return relay_->abort("the rules were changed");
  refuse(refusal_text(owner_->policy, head_.target, decision_));
}

void Session::stop() {
  if (state_ == State::kRelaying) return relay_->abort("locki stopped serving");
  if (state_ == State::kAsking) host_.asking(id_, std::nullopt);
  over();
}

void Session::reject(int status, std::string_view reason) {
  record(Event::kRefused, reason);
  answer(status, reason);
}

void Session::refuse(std::string_view reason, std::string address) {
  record(Event::kRefused, reason, std::move(address));
  answer(403, reason);
}

void Session::fail_with(int status, std::string_view reason) {
  const std::string text = fmt::format("{}: {}", head_.target.to_string(), reason);
  record(Event::kFailed, reason);
  answer(status, text);
}

void Session::answer(int status, std::string_view reason) {
  state_ = State::kAnswering;
  server_watch_.cancel();
  server_.reset();
  const std::string text = opener_ ? opener_->refused(status, fmt::format("locki: {}", reason)) : "";
  if (text.empty()) {
    reset_on_close(client_.get());
    return over();
  }
  // It fits into the buffer of a connection that has sent nothing yet; if not, the client does not want it.
  if (transmit(client_.get(), text).state != Transfer::State::kDone) return over();
  end_sending(client_.get());
  client_watch_.cancel();
  auto watched = watch(client_.get(), {.read = true}, &Session::drain);
  if (!watched) return over();
  client_watch_ = std::move(*watched);
  set_deadline(2s, [this] { over(); });
}

// Closing with unread bytes would reset the connection and could take the answer with it.
void Session::drain() {
  const Transfer got = receive(client_.get(), host_.scratch());
  if (got.state == Transfer::State::kWouldBlock) return;
  drained_ += got.size;
  if (got.state != Transfer::State::kDone || drained_ > kMaxDrain) over();
}

void Session::over() {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  deadline_.cancel();
  client_watch_.cancel();
  server_watch_.cancel();
  client_.reset();
  server_.reset();
  host_.finished(id_);
}

void Session::set_deadline(std::chrono::milliseconds limit, std::function<void()> action) {
  deadline_ = host_.loop().after(limit, std::move(action));
}

void Session::record(Event event, std::string_view reason, std::string address) {
  const auto now = std::chrono::steady_clock::now();
  AuditRecord entry{.event = event,
                    .time = std::chrono::system_clock::now(),
                    .connection = id_,
                    .sandbox = owner_->name,
                    .sandbox_id = owner_->id,
                    .host = head_.target.host.name,
                    .port = head_.target.port != 0 ? head_.target.port : origin_.port,
                    .address = address.empty() ? connected_to_ : std::move(address),
                    .rule = decision_.rule,
                    .reason = std::string(reason),
                    .duration = std::chrono::duration_cast<std::chrono::milliseconds>(now - begun_)};
  if (proxy_ != nullptr && !connected_to_.empty()) entry.address = "upstream " + connected_to_;
  if (relay_) {
    entry.bytes_out = relay_->bytes_out();
    entry.bytes_in = relay_->bytes_in();
  }
  host_.record(std::move(entry));
}

Result<loop::FdWatch> Session::watch(int fd, loop::Interest interest, void (Session::*action)()) {
  return host_.loop().watch_fd(fd, interest, [this, action](loop::Ready) { guard(action); });
}

// Out of memory is the one thing that can be thrown here; it costs this connection only.
void Session::guard(void (Session::*action)()) {
  try {
    (this->*action)();
  } catch (const std::exception& error) {
    log::error("gate: a connection was dropped: {}", printable(error.what()));
    over();
  }
}

}  // namespace locki::gate
