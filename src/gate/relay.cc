#include "gate/relay.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "gate/socket_ops.h"

namespace locki::gate {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr int kRounds = 8;  // reads in a row before other connections get their turn
constexpr std::size_t kMaxDiscard = 1 << 20;
// Reads of this size and more are followed by a splice instead of a copy. Below it copying is as fast, and needs no pipe (tests/bench: gate_bench).
constexpr std::size_t kBulk = 32 << 10;
constexpr milliseconds kDrainTime = 3s;

}  // namespace

Relay::Relay(loop::Loop& loop, Setup setup, std::function<void(End)> done)
    : loop_(loop), setup_(std::move(setup)), done_(std::move(done)) {
  out_.pending = std::move(setup_.to_server);
  out_.bytes = out_.pending.size() + setup_.sent;  // the request's head is data that leaves; our own "200" is not data that comes
  in_.pending = std::move(setup_.to_client);
  in_.pending += setup_.from_server;
  in_.bytes = std::exchange(setup_.from_server, {}).size();
}

void Relay::start() {
  started_ = last_activity_ = Clock::now();
  auto client = loop_.watch_fd(setup_.client.get(), {}, [this](loop::Ready) { on_ready(); });
  auto server = loop_.watch_fd(setup_.server.get(), {}, [this](loop::Ready) { on_ready(); });
  if (!client || !server) return abort("cannot watch the connection");
  client_watch_ = std::move(*client);
  server_watch_ = std::move(*server);
  arm_timer();
  // Also without bytes: a body may be empty, and then nothing at all may follow.
  const std::string first = std::move(setup_.from_client);
  take_from_client(first);
  if (!finished_) on_ready();
}

void Relay::on_ready() {
  if (finished_) return;
  try {
    pump();
  } catch (const std::exception& error) {  // out of memory: costs this connection only
    abort(error.what());
  }
}

void Relay::pump() {
  last_activity_ = Clock::now();
  pump_out();
  if (!finished_) pump_in();
  if (!finished_) give_pipes_back();
  if (!finished_) pass_ends_on();
  if (!finished_) update_interest();
}

// Into the pipe, when the direction holds it afterwards, or into the scratch.
Transfer Relay::read(Direction& direction, int from, std::size_t most) {
  if (direction.bulk && direction.spliceable)
    if (const auto got = read_into_pipe(direction, from, most)) return *got;
  const Transfer got = receive(from, setup_.scratch.first(std::min(most, setup_.scratch.size())));
  if (got.state == Transfer::State::kDone) direction.bulk = got.size >= kBulk;
  return got;
}

// nullopt: copy instead.
std::optional<Transfer> Relay::read_into_pipe(Direction& direction, int from, std::size_t most) {
  if (!direction.pipe) direction.pipe = setup_.pipes->lend(setup_.owner);
  if (!direction.pipe) return std::nullopt;
  const auto got = direction.pipe.fill(from, most);
  if (!got) {
    direction.spliceable = false;
    direction.pipe.reset();
    return std::nullopt;
  }
  direction.bytes += got->size;
  if (got->state == Transfer::State::kDone) direction.bulk = got->size >= kBulk;
  return got;
}

void Relay::give_pipes_back() {
  if (out_.pipe.held() == 0) out_.pipe.reset();
  if (in_.pipe.held() == 0) in_.pipe.reset();
}

// Client to server.
void Relay::pump_out() {
  for (int round = 0; round < kRounds && !finished_; ++round) {
    if (!flush(out_, setup_.server.get())) drop_output();
    if (client_end_ || (!discard_ && out_.waiting())) return;
    if (discard_ && discarded_ > kMaxDiscard) return;
    const bool by_count = setup_.filter && unseen_ > 0 && !discard_;
    const Transfer got = by_count                          ? read(out_, setup_.client.get(), static_cast<std::size_t>(std::min<std::uint64_t>(unseen_, SIZE_MAX)))
                         : setup_.filter || discard_       ? receive(setup_.client.get(), setup_.scratch)
                                                           : read(out_, setup_.client.get());
    switch (got.state) {
      case Transfer::State::kWouldBlock:
        return;
      case Transfer::State::kBroken:
        return abort("the client broke the connection");
      case Transfer::State::kEnd:
        client_end_ = true;
        if (setup_.filter && !discard_ && !setup_.filter->complete()) return abort("the client ended in the middle");
        out_.end = true;
        return;
      case Transfer::State::kDone:
        if (out_.pipe.held() > 0) {
          if (!flush(out_, setup_.server.get())) drop_output();
        } else if (by_count) {
          if (!forward(out_, setup_.server.get(), {setup_.scratch.data(), got.size})) drop_output();
        } else {
          take_from_client({setup_.scratch.data(), got.size});
        }
        if (by_count) pass_unseen(got.size);
        break;
    }
  }
}

// Behind the last of them the filter says what is next.
void Relay::pass_unseen(std::size_t size) {
  if (discard_) return;
  setup_.filter->skipped(size);
  unseen_ -= size;
  if (unseen_ == 0) take_from_client({});
}

void Relay::take_from_client(std::string_view bytes) {
  if (discard_) {
    discarded_ += bytes.size();
    return;
  }
  if (!setup_.filter) {
    if (!forward(out_, setup_.server.get(), bytes)) drop_output();
    return;
  }
  held_ += bytes;
  const bool was_impatient = setup_.filter->impatient();
  const Verdict verdict = setup_.filter->look(held_);
  if (!verdict.refuse.empty()) {
    if (!verdict.farewell.empty() && !in_.waiting()) (void)transmit(setup_.client.get(), verdict.farewell);
    return finish({true, verdict.refuse});
  }
  unseen_ = verdict.unseen;
  const std::string approved = held_.substr(0, verdict.pass);
  held_.erase(0, verdict.pass);
  if (verdict.transparent) setup_.filter.reset();
  if (was_impatient != (setup_.filter && setup_.filter->impatient())) arm_timer();
  if (verdict.end) {
    // The server's side stays open for sending: some servers take an early end for a client that went away.
    discard_ = true;
    held_.clear();
  }
  if (!forward(out_, setup_.server.get(), approved)) drop_output();
}

// Server to client.
void Relay::pump_in() {
  for (int round = 0; round < kRounds && !finished_; ++round) {
    if (!flush(in_, setup_.client.get())) return abort("the client went away");
    if (in_.end || in_.waiting()) return;
    const Transfer got = read(in_, setup_.server.get());
    switch (got.state) {
      case Transfer::State::kWouldBlock:
        return;
      case Transfer::State::kBroken:
        return abort("the server broke the connection");
      case Transfer::State::kEnd:
        in_.end = true;
        return;
      case Transfer::State::kDone:
        if (in_.pipe.held() > 0 ? !flush(in_, setup_.client.get()) : !forward(in_, setup_.client.get(), {setup_.scratch.data(), got.size}))
          return abort("the client went away");
        break;
    }
  }
}

// Writes what fits and keeps the rest. False: the receiver is gone.
bool Relay::forward(Direction& direction, int to, std::string_view bytes) {
  direction.bytes += bytes.size();
  if (!direction.waiting()) {
    while (!bytes.empty()) {
      const Transfer sent = transmit(to, bytes);
      if (sent.state == Transfer::State::kBroken) return false;
      if (sent.state == Transfer::State::kWouldBlock) break;
      bytes.remove_prefix(sent.size);
    }
    direction.pending.clear();
    direction.at = 0;
  }
  direction.pending.append(bytes);
  return true;
}

bool Relay::flush(Direction& direction, int to) {
  while (direction.pipe.held() > 0) {
    const Transfer sent = direction.pipe.drain(to);
    if (sent.state == Transfer::State::kBroken) return false;
    if (sent.state == Transfer::State::kWouldBlock) return true;
  }
  while (direction.at < direction.pending.size()) {
    const Transfer sent = transmit(to, std::string_view(direction.pending).substr(direction.at));
    if (sent.state == Transfer::State::kBroken) return false;
    if (sent.state == Transfer::State::kWouldBlock) return true;
    direction.at += sent.size;
  }
  if (!direction.pending.empty()) direction.pending = std::string();  // an idle connection holds no buffer
  direction.at = 0;
  return true;
}

// The server takes nothing more. Its answer may still be on the way ("413"), so only this direction ends.
void Relay::drop_output() {
  out_.pending = std::string();
  out_.at = 0;
  out_.pipe.reset();
  out_.closed = true;
  discard_ = true;
  held_.clear();
}

void Relay::pass_ends_on() {
  if (out_.end && !out_.waiting() && !out_.closed) {
    end_sending(setup_.server.get());
    out_.closed = true;
    arm_timer();
  }
  if (in_.end && !in_.waiting() && !in_.closed) {
    end_sending(setup_.client.get());
    in_.closed = true;
    arm_timer();
  }
  if (!in_.closed) return;
  if (client_end_ && out_.closed) return finish({});
  // Nothing the client sends can matter any more. Closing now, with bytes of it unread, would reset the connection and
  // could take the tail of the answer with it.
  if ((setup_.single_response || discard_) && !draining_) {
    draining_ = discard_ = true;
    arm_timer();
  }
  if (draining_ && (client_end_ || discarded_ > kMaxDiscard)) finish({});
}

void Relay::update_interest() {
  const bool read_client = !client_end_ && (discard_ ? discarded_ <= kMaxDiscard : !out_.waiting());
  client_watch_.want({.read = read_client, .write = in_.waiting()});
  server_watch_.want({.read = !in_.end && !in_.waiting(), .write = out_.waiting()});
}

void Relay::arm_timer() {
  const bool filtering = setup_.filter && setup_.filter->impatient();
  const milliseconds limit = draining_                   ? kDrainTime
                             : filtering                 ? setup_.filter_time
                             : in_.closed || out_.closed ? setup_.half_closed_idle
                                                         : setup_.idle;
  // Re-armed when the state changes and when it fires, not with every byte.
  const auto since = draining_ ? Clock::now() : filtering ? started_ : last_activity_;
  const auto left = std::chrono::ceil<milliseconds>(since + limit - Clock::now());
  timer_ = loop_.after(std::max(left, 1ms), [this, limit, filtering] {
    if (finished_) return;
    if (draining_) return finish({});
    if (filtering) return finish({true, "no TLS ClientHello came in time"});
    if (Clock::now() - last_activity_ >= limit) return abort("idle for too long");
    arm_timer();
  });
}

void Relay::abort(std::string reason) {
  if (finished_) return;
  reset_on_close(setup_.client.get());
  reset_on_close(setup_.server.get());
  finish({false, std::move(reason)});
}

void Relay::finish(End end) {
  if (finished_) return;
  finished_ = true;
  timer_.cancel();
  out_.pipe.reset();
  in_.pipe.reset();
  client_watch_.cancel();
  server_watch_.cancel();
  setup_.client.reset();
  setup_.server.reset();
  done_(std::move(end));
}

}  // namespace locki::gate
