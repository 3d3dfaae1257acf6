#include "net/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "net/http_response.h"
#include "net/tls_connection.h"

namespace locki::net {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kKeepIdle = std::chrono::seconds(20);
constexpr std::size_t kMaxIdle = 8;
constexpr std::size_t kChunk = 256 << 10;
constexpr auto kProgressEvery = std::chrono::milliseconds(250);

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

// A header's text goes on the wire as it is, so nothing in it may end a line or the request line's words.
bool is_clean(std::string_view text, bool spaces) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return static_cast<unsigned char>(c) > ' ' || (spaces && (c == ' ' || c == '\t')); });
}

std::uint64_t body_size(const Request& request) {
  std::uint64_t total = 0;
  for (const BodyPart& part : request.body) total += part.fd >= 0 ? part.length : part.text.size();
  return total;
}

Result<std::string> request_head(const Request& request) {
  if (!is_clean(request.method, false) || !is_clean(request.target, false) || !request.target.starts_with('/')) {
    return fail(ErrorKind::kUsage, "not a usable HTTP request: " + printable(request.method + " " + request.target));
  }
  // The host name means nothing to a pinned peer; Go's server only insists that there is one.
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: incus\r\nUser-Agent: locki/" LOCKI_VERSION "\r\n", request.method, request.target);
  for (const auto& [name, value] : request.headers) {
    if (!is_clean(name, false) || !is_clean(value, true)) return fail(ErrorKind::kUsage, "not a usable HTTP header: " + printable(name));
    head += name + ": " + value + "\r\n";
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    head += fmt::format("Content-Length: {}\r\n", body_size(request));
  }
  return head + "\r\n";
}

// Sends one body and tells about it.
class Upload {
 public:
  Upload(TlsConnection& connection, const Request& request) : connection_(connection), request_(request), total_(body_size(request)) {}

  Result<> send(std::string_view head) {
    // A small body travels with the head: one TLS record, one packet.
    if (total_ <= kChunk && std::all_of(request_.body.begin(), request_.body.end(), [](const BodyPart& p) { return p.fd < 0; })) {
      std::string all(head);
      for (const BodyPart& part : request_.body) all += part.text;
      TRY(write(as_bytes(all)));
      return told(total_);
    }
    TRY(write(as_bytes(head)));
    for (const BodyPart& part : request_.body) {
      if (part.fd >= 0) {
        TRY(send_descriptor(part));
      } else {
        TRY(write(as_bytes(part.text)));
        TRY(told(part.text.size()));
      }
    }
    return {};
  }

  // The error was in reading our own descriptor: an answer of the server would not explain it.
  bool local_failure() const { return local_failure_; }

 private:
  Result<> write(ByteView bytes) { return connection_.write_all(bytes, {Clock::now() + request_.stall_timeout, request_.stop}); }

  Result<> send_descriptor(const BodyPart& part) {
    Bytes chunk(kChunk);
    for (std::uint64_t left = part.length; left > 0;) {
      auto got = sys::read_some(part.fd, chunk.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk.size())));
      if (!got || *got == 0) {
        local_failure_ = true;
        if (!got) return fail(std::move(got).error());
        return fail(ErrorKind::kFailed, fmt::format("the upload ended {} bytes early", left));
      }
      TRY(write(ByteView(chunk.data(), *got)));
      left -= *got;
      TRY(told(*got));
    }
    return {};
  }

  Result<> told(std::uint64_t bytes) {
    sent_ += bytes;
    const auto now = Clock::now();
    if (request_.on_upload && (now - last_told_ > kProgressEvery || sent_ == total_)) {
      last_told_ = now;
      request_.on_upload(sent_, total_);
    }
    return {};
  }

  TlsConnection& connection_;
  const Request& request_;
  std::uint64_t total_;
  std::uint64_t sent_ = 0;
  Clock::time_point last_told_{};
  bool local_failure_ = false;
};

}  // namespace

struct HttpClient::Impl {
  std::shared_ptr<TlsContext> tls;
  Connector connect;
  struct Idle {
    TlsConnection connection;
    Clock::time_point since;
  };
  std::mutex mutex;
  std::vector<Idle> idle;

  std::optional<TlsConnection> take_idle() {
    const std::lock_guard lock(mutex);
    while (!idle.empty()) {
      Idle last = std::move(idle.back());
      idle.pop_back();
      if (Clock::now() - last.since < kKeepIdle && last.connection.idle()) return std::move(last.connection);
    }
    return std::nullopt;
  }

  void keep(TlsConnection connection) {
    const std::lock_guard lock(mutex);
    std::erase_if(idle, [](const Idle& i) { return Clock::now() - i.since >= kKeepIdle; });
    if (idle.size() < kMaxIdle) idle.push_back({std::move(connection), Clock::now()});
  }

  Result<TlsConnection> fresh(const Request& request) {
    if (request.stop.stop_requested()) return fail(ErrorKind::kCancelled, "cancelled");
    TRY_ASSIGN(sys::Fd socket, connect());
    return TlsConnection::open(tls, std::move(socket), {Clock::now() + request.timeout, request.stop});
  }

  struct Outcome {
    bool silent = true;     // no byte of an answer came
    bool reusable = false;  // the connection is good for another request
  };
  Result<Response> exchange(TlsConnection& connection, const Request& request, std::string_view head, Outcome& outcome) {
    Upload upload(connection, request);
    auto sent = upload.send(head);
    Until until{Clock::now() + request.timeout, request.stop};
    if (!sent) {
      if (upload.local_failure() || sent.error().kind() != ErrorKind::kUnavailable) return fail(std::move(sent).error());
      // A server that refuses an upload answers and closes; its answer says more than our broken pipe.
      until.deadline = std::min(until.deadline, Clock::now() + std::chrono::seconds(5));
    }
    ResponseReader reader(request);
    auto response = reader.read(connection, until);
    outcome = {!reader.started(), sent.has_value() && response.has_value() && reader.keep_alive()};
    if (!sent && !response) return fail(std::move(sent).error());
    return response;
  }
};

HttpClient::HttpClient(std::shared_ptr<TlsContext> tls, Connector connect) : impl_(std::make_unique<Impl>()) {
  impl_->tls = std::move(tls);
  impl_->connect = std::move(connect);
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

void HttpClient::drop_idle() {
  const std::lock_guard lock(impl_->mutex);
  impl_->idle.clear();
}

Result<Response> HttpClient::request(const Request& request) {
  TRY_ASSIGN(const std::string head, request_head(request));
  const bool has_fd = std::any_of(request.body.begin(), request.body.end(), [](const BodyPart& p) { return p.fd >= 0; });
  std::optional<TlsConnection> kept = impl_->take_idle();
  while (true) {
    const bool reused = kept.has_value();
    if (!kept) {
      TRY_ASSIGN(kept, impl_->fresh(request));
    }
    Impl::Outcome outcome;
    auto response = impl_->exchange(*kept, request, head, outcome);
    if (response) {
      if (outcome.reusable) impl_->keep(std::move(*kept));
      return response;
    }
    kept.reset();
    // A kept connection can die between the check and the request. Nothing of a descriptor can be sent twice.
    const bool retry = reused && outcome.silent && !has_fd && is_idempotent(request.method) && response.error().kind() == ErrorKind::kUnavailable;
    if (!retry) return response;
  }
}

}  // namespace locki::net
