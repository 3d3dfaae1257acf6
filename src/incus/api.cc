#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "incus/client_impl.h"
#include "incus/parse.h"

namespace locki::incus {
namespace {

using Clock = std::chrono::steady_clock;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// What lets wait_ready() try again: a server that is coming up.
bool may_pass(const Error& error) {
  return error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kTimeout || error.kind() == ErrorKind::kNotFound ||
         error.kind() == ErrorKind::kFailed;
}

}  // namespace

Error incus_error(std::int64_t code, std::string_view text) {
  ErrorKind kind = ErrorKind::kFailed;
  if (code == 401 || code == 403) kind = ErrorKind::kPermission;
  if (code == 404) kind = ErrorKind::kNotFound;
  if (code == 409 || code == 412) kind = ErrorKind::kConflict;
  if (code == 408 || code == 504) kind = ErrorKind::kTimeout;
  if (code == 502 || code == 503) kind = ErrorKind::kUnavailable;
  // Incus gives these as 400 or 500, and operations carry no number at all (shared/api/operation.go).
  const std::string lower = ascii_lower(text);
  if (contains(lower, "already exists")) kind = ErrorKind::kExists;
  if (contains(lower, "no space left on device") || contains(lower, "disk quota exceeded")) kind = ErrorKind::kNoSpace;
  if (kind == ErrorKind::kFailed && (lower == "not found" || lower.ends_with(" not found"))) kind = ErrorKind::kNotFound;
  if (text.empty()) return Error(kind, fmt::format("Incus answered with error {}", code));
  return Error(kind, "Incus: " + printable(text));
}

Result<Answer> parse_answer(int http_status, std::string_view body, std::size_t limit) {
  auto parsed = json::parse_object(body, limit);
  if (!parsed) {
    // A proxy, or a server that is starting or stopping.
    if (http_status >= 400) return fail(incus_error(http_status, ""));
    return fail(std::move(parsed).error().with_context("while reading Incus' answer"));
  }
  TRY_ASSIGN(const std::string type, context(json::get_string(*parsed, "type"), "while reading Incus' answer"));
  if (type == "error" || http_status >= 400) {
    const std::int64_t code = json::int_or(*parsed, "error_code", http_status);
    return fail(incus_error(code, json::string_or(*parsed, "error")));
  }
  Answer answer;
  if (type == "async") {
    TRY_ASSIGN(const std::string url, context(json::get_string(*parsed, "operation"), "while reading Incus' answer"));
    TRY_ASSIGN(answer.operation, operation_id(url));
  } else if (type != "sync") {
    return fail(ErrorKind::kProtocol, "Incus' answer is of the unknown type " + printable(type, 40));
  }
  if (json::value* metadata = parsed->if_contains("metadata"); metadata != nullptr) answer.metadata = std::move(*metadata);
  return answer;
}

Result<std::string> operation_id(std::string_view url) {
  constexpr std::string_view kPrefix = "/1.0/operations/";
  constexpr std::size_t kMaxId = 64;
  if (url.starts_with(kPrefix)) {
    std::string_view id = url.substr(kPrefix.size());
    id = id.substr(0, id.find('?'));
    const bool plain = !id.empty() && id.size() <= kMaxId && std::all_of(id.begin(), id.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
    });
    if (plain) return std::string(id);
  }
  return fail(ErrorKind::kProtocol, "Incus named an operation that cannot be one: " + printable(url, 100));
}

Result<Answer> Client::Impl::send(net::Request request) {
  const std::size_t limit = request.max_response_bytes;
  const auto begun = Clock::now();
  TRY_ASSIGN(const net::Response response, http.request(request));
  log::debug("incusd: {} {} -> {}, {} ms", request.method, printable(request.target, 100), response.status, std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - begun).count());
  TRY_ASSIGN(Answer answer, parse_answer(response.status, response.body, limit));
  if (auto etag = response.headers.find("etag"); etag != response.headers.end()) answer.etag = etag->second;
  return answer;
}

Result<Answer> Client::Impl::send(std::string_view method, std::string target, const json::value* body, std::string if_match) {
  net::Request request{.method = std::string(method), .target = std::move(target)};
  if (body != nullptr) {
    request.headers["Content-Type"] = "application/json";
    request.body.push_back({.text = json::serialize(*body)});
  }
  if (!if_match.empty()) request.headers["If-Match"] = std::move(if_match);
  request.timeout = std::chrono::minutes(2);
  return send(std::move(request));
}

Result<json::value> Client::Impl::get(std::string target) {
  TRY_ASSIGN(Answer answer, send("GET", std::move(target)));
  return std::move(answer.metadata);
}

Result<std::optional<json::value>> Client::Impl::find(std::string target) {
  auto found = get(std::move(target));
  if (found) return std::optional<json::value>(std::move(*found));
  if (found.error().kind() == ErrorKind::kNotFound) return std::optional<json::value>();
  return fail(std::move(found).error());
}

Result<json::value> Client::Impl::run(std::string_view method, std::string target, const json::value* body, const WaitOptions& wait) {
  TRY_ASSIGN(Answer answer, send(method, std::move(target), body));
  if (answer.operation.empty()) return std::move(answer.metadata);
  TRY_ASSIGN(json::object operation, wait_operation(answer.operation, wait));
  json::value* metadata = operation.if_contains("metadata");
  return metadata != nullptr ? std::move(*metadata) : json::value();
}

Result<> Client::Impl::run_void(std::string_view method, std::string target, const json::value* body, const WaitOptions& wait) {
  TRY(run(method, std::move(target), body, wait));
  return {};
}

Result<json::object> Client::Impl::wait_operation(std::string_view id, const WaitOptions& wait, bool cancel_too) {
  const std::string url = "/1.0/operations/" + std::string(id);
  const auto deadline = Clock::now() + wait.timeout;
  std::string last_text;
  while (true) {
    // One long poll after the other: short ones when somebody watches.
    const auto left = std::chrono::ceil<std::chrono::seconds>(deadline - Clock::now()).count();
    const auto slice = std::clamp<std::int64_t>(left, 0, wait.progress ? 1 : 10);
    net::Request request{.target = url + fmt::format("/wait?timeout={}", slice)};
    request.timeout = std::chrono::seconds(slice + 60);
    request.stop = wait.stop;
    auto answer = send(std::move(request));
    if (!answer) {
      if (cancel_too && answer.error().kind() == ErrorKind::kCancelled) (void)send("DELETE", url);  // most cannot be; it goes on then
      return fail(std::move(answer).error());
    }
    if (!answer->metadata.is_object()) return fail(ErrorKind::kProtocol, "Incus' answer holds no operation");
    json::object& shown = answer->metadata.get_object();
    TRY_ASSIGN(const Operation operation, parse_operation(shown));
    if (auto progress = progress_of(shown); progress && progress->text != last_text) {
      last_text = progress->text;
      report(wait.progress, {ProgressEvent::Kind::kUpdate, wait.phase, progress->text, progress->fraction});
    }
    if (operation.done()) {
      if (operation.status_code == 200) return std::move(shown);
      if (operation.status_code == 401) return fail(ErrorKind::kCancelled, "Incus: the operation was cancelled");
      return fail(incus_error(operation.status_code, operation.error.empty() ? "the operation failed without saying why" : operation.error));
    }
    if (Clock::now() >= deadline) {
      return fail(ErrorKind::kTimeout, fmt::format("Incus is still busy after {} s: {}", wait.timeout.count(), printable(operation.description, 80)));
    }
  }
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::make(const net::TlsConfig& tls, net::Connector connect) {
  TRY_ASSIGN(auto context, net::TlsContext::make(tls));
  return Client(std::make_unique<Impl>(std::move(context), std::move(connect)));
}

std::string Client::ticket() const { return impl_->tls->ticket(); }

Result<ServerInfo> Client::server(std::chrono::milliseconds timeout) {
  net::Request request{.target = "/1.0"};
  request.timeout = timeout;
  TRY_ASSIGN(const Answer answer, impl_->send(std::move(request)));
  return parse_server(answer.metadata);
}

Result<> Client::wait_for(std::string_view target, Result<> (*acceptable)(const json::value&), std::chrono::milliseconds timeout, const std::stop_token& stop) {
  const auto deadline = Clock::now() + timeout;
  auto pause = std::chrono::milliseconds(50);
  while (true) {
    net::Request request{.target = std::string(target)};
    request.timeout = std::max(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()), std::chrono::milliseconds(1));
    request.timeout = std::min(request.timeout, std::chrono::milliseconds(15'000));
    request.stop = stop;
    const auto answer = impl_->send(std::move(request));
    const Result<> accepted = answer ? acceptable(answer->metadata) : fail(answer.error());
    if (accepted) return {};
    if (!may_pass(accepted.error())) return accepted;
    if (stop.stop_requested()) return fail(ErrorKind::kCancelled, "cancelled");
    if (Clock::now() + pause >= deadline) return fail(ErrorKind::kTimeout, "Incus did not become ready in time: " + accepted.error().describe());
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(1000));
  }
}

Result<> Client::wait_ready(std::chrono::milliseconds timeout, std::stop_token stop) {
  return wait_for("/1.0", [](const json::value& metadata) -> Result<> {
    TRY_ASSIGN(const ServerInfo info, parse_server(metadata));
    return info.trusted ? Result<>{} : fail(ErrorKind::kFailed, "Incus answers but does not trust our certificate yet");
  }, timeout, stop);
}

Result<> Client::wait_answer(std::chrono::milliseconds timeout, std::stop_token stop) {
  return wait_for("/", [](const json::value&) { return Result<>{}; }, timeout, stop);
}

Result<> Client::set_server_config(const Config& config) {
  const json::value body = json::object{{"config", to_json(config)}};
  return impl_->run_void("PATCH", "/1.0", &body);
}

void Client::drop_connections() { impl_->http.drop_idle(); }

Result<json::value> Client::call(std::string_view method, std::string target, const json::value* body, const WaitOptions& wait) {
  return impl_->run(method, std::move(target), body, wait);
}

}  // namespace locki::incus
