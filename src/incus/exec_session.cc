#include "incus/exec_session.h"

#include <fmt/format.h>

#include <csignal>

#include "incus/url.h"

namespace locki::incus {
namespace {

constexpr auto kOpenTimeout = std::chrono::seconds(60);
// After its reader is gone a command has this long to notice by writing; then it is told; then it is killed.
constexpr auto kNudgeAfter = std::chrono::seconds(2);
constexpr auto kKillAfter = std::chrono::seconds(8);
constexpr auto kVerdictTimeout = std::chrono::seconds(10);

Result<std::string> secret_of(const json::object& fds, std::string_view name) {
  TRY_ASSIGN(std::string secret, json::get_string(fds, name));
  if (secret.empty() || secret.size() > 256) return fail(ErrorKind::kProtocol, "Incus' secret for a connection is unusable");
  return secret;
}

}  // namespace

json::value exec_body(const ExecRequest& request) {
  return json::object{{"command", [&] {
                         json::array command;
                         for (const std::string& word : request.argv) command.emplace_back(word);
                         return command;
                       }()},
                      {"environment", [&] {
                         json::object environment;
                         for (const auto& [name, value] : request.environment) environment[name] = value;
                         return environment;
                       }()},
                      {"wait-for-websocket", true},
                      {"interactive", request.interactive},
                      {"width", request.width},
                      {"height", request.height},
                      {"user", request.uid},
                      {"group", request.gid},
                      {"cwd", request.cwd}};
}

Result<int> exit_status(const json::object& operation) {
  TRY_ASSIGN(const json::object metadata, json::get_object(operation, "metadata"));
  TRY_ASSIGN(const std::int64_t status, json::get_int(metadata, "return"));
  if (status < 0 || status > 255) return fail(ErrorKind::kFailed, fmt::format("Incus could not run the command (status {})", status));
  return static_cast<int>(status);
}

// incusd takes the statuses 126 and 127 for a command that was not there, also when a shell that ran well ends with them.
std::optional<int> status_of_failure(const Error& error) {
  if (error.message().ends_with("Command not found")) return 127;
  if (error.message().ends_with("Command not executable")) return 126;
  return std::nullopt;
}

ExecSession::~ExecSession() {
  stop_waiting_.request_stop();
  if (waiter_.joinable()) waiter_.join();
}

Result<ExecResult> ExecSession::run(std::string_view instance, std::chrono::milliseconds timeout) {
  TRY(create(instance));
  TRY(open_channels());
  deadline_.after(kOpenTimeout, [this] { abort(Error(ErrorKind::kTimeout, "Incus did not open the command's connections in time")); });
  net::Timer limit(loop_);
  if (timeout.count() > 0) {
    limit.after(timeout, [this, timeout] {
      abort(Error(ErrorKind::kTimeout, fmt::format("the command did not end within {} s", std::chrono::ceil<std::chrono::seconds>(timeout).count())));
    });
  }
  TRY_ASSIGN(queue_watch_, net::FdStream::make(loop_, control_queue_.wake.get(), net::FdStream::Use::kRead));
  read_queue();
  loop_.run();
  if (failure_) return fail(std::move(*failure_));
  if (!status_) return fail(ErrorKind::kFailed, "the command's session ended early");
  if (!*status_) return fail(std::move(*status_).error());
  const bool silent = output_->silent() && (!errors_ || errors_->silent());
  return ExecResult{.status = **status_, .out_closed = out_closed_, .silent = silent};
}

Result<> ExecSession::create(std::string_view instance) {
  const json::value body = exec_body(request_);
  TRY_ASSIGN(const Answer answer, client_.send("POST", instance_url(instance, "/exec"), &body));
  operation_ = answer.operation;
  if (operation_.empty() || !answer.metadata.is_object()) return fail(ErrorKind::kProtocol, "Incus answered a command without an operation");
  TRY_ASSIGN(const json::object metadata, json::get_object(answer.metadata.get_object(), "metadata"));
  TRY_ASSIGN(const json::object fds, json::get_object(metadata, "fds"));
  TRY_ASSIGN(control_.secret, secret_of(fds, "control"));
  TRY_ASSIGN(in_.secret, secret_of(fds, "0"));
  if (!request_.interactive) {
    TRY_ASSIGN(out_.secret, secret_of(fds, "1"));
    TRY_ASSIGN(err_.secret, secret_of(fds, "2"));
  }
  return {};
}

Result<> ExecSession::open_channels() {
  for (Channel* channel : {&control_, &in_, &out_, &err_}) {
    if (channel->secret.empty()) continue;
    TRY_ASSIGN(sys::Fd socket, client_.connect());
    channel->socket = std::make_unique<net::WebSocket>(loop_, client_.tls);
    const std::string url = "/1.0/operations/" + operation_ + "/websocket?secret=" + encoded(channel->secret);
    ++opening_;
    channel->socket->open(std::move(socket), url, [this](Result<> opened) {
      if (!opened) return abort(std::move(opened).error());
      if (--opening_ == 0) all_open();
    });
  }
  return {};
}

void ExecSession::all_open() {
  deadline_.cancel();
  running_ = true;
  watch_control();
  input_.emplace(loop_, *in_.socket);
  if (auto started = input_->start(streams_.in, streams_.in_text); !started) return abort(std::move(started).error());
  output_.emplace(loop_, *data_channel(false).socket, streams_.out,
                  [this](OutputPump::End end, std::optional<Error> error) { output_ended(data_channel(false), end, std::move(error)); });
  if (auto started = output_->start(); !started) return abort(std::move(started).error());
  if (!request_.interactive) {
    watch_stdin();
    errors_.emplace(loop_, *err_.socket, streams_.err,
                    [this](OutputPump::End end, std::optional<Error> error) { output_ended(err_, end, std::move(error)); });
    if (auto started = errors_->start(); !started) return abort(std::move(started).error());
  }
  send_queued();
}

// Nothing comes on "control" but pings; its end is the command's end.
void ExecSession::watch_control() {
  control_.socket->read([this](Result<net::WebSocket::Data> data) {
    if (data) return watch_control();
    command_ended_ = true;
    nudge_.cancel();
    input_->stop();
    wait_for_status();
  });
}

// Only to take in incusd's pings and to see its end.
void ExecSession::watch_stdin() {
  in_.socket->read([this](Result<net::WebSocket::Data> data) {
    if (data) return watch_stdin();
    input_->stop();
  });
}

void ExecSession::read_queue() {
  queue_watch_->read(queue_bytes_, sizeof queue_bytes_, [this](Result<std::size_t>) {
    bool cancelled = false;
    for (std::string& message : control_queue_.take(cancelled)) to_send_.push_back(std::move(message));
    if (cancelled) return abort(Error(ErrorKind::kCancelled, "the command was cancelled"));
    send_queued();
    read_queue();
  });
}

void ExecSession::send_queued() {
  if (!running_ || command_ended_ || control_writing_ || to_send_.empty()) return;
  control_writing_ = true;
  auto message = std::make_shared<std::string>(std::move(to_send_.front()));
  to_send_.erase(to_send_.begin());
  control_.socket->write(as_bytes(*message), true, [this, message](Result<>) {
    control_writing_ = false;
    send_queued();
  });
}

void ExecSession::output_ended(Channel& channel, OutputPump::End end, std::optional<Error> error) {
  switch (end) {
    case OutputPump::End::kComplete:
      break;
    case OutputPump::End::kClosed:
      out_closed_ = true;
      reader_is_gone();
      break;
    case OutputPump::End::kBroken:
      take_broken(std::move(*error));
      break;
    case OutputPump::End::kFailed:
      return abort(std::move(*error));
  }
  // With a terminal incusd now waits for us to end our half; without one it is done with this stream, or, when our reader is
  // gone, its next write fails and the command gets SIGPIPE.
  channel.socket->close();
  if (request_.interactive) input_->stop();
  maybe_done();
}

// An operation that fails has its connections closed: its own words come first, if they come soon.
void ExecSession::take_broken(Error error) {
  if (!broken_) broken_ = std::move(error).with_context("while reading the command's output");
  deadline_.after(kVerdictTimeout, [this] { abort(*broken_); });
  wait_for_status();
}

void ExecSession::reader_is_gone() {
  if (request_.interactive) return abort(Error(ErrorKind::kUnavailable, "the terminal is gone"));
  if (command_ended_) return;
  nudge_.after(kNudgeAfter, [this] {
    to_send_.push_back(fmt::format(R"({{"command":"signal","signal":{}}})", SIGPIPE));
    send_queued();
    nudge_.after(kKillAfter, [this] {
      to_send_.push_back(fmt::format(R"({{"command":"signal","signal":{}}})", SIGKILL));
      send_queued();
    });
  });
}

void ExecSession::wait_for_status() {
  if (waiter_.joinable()) return;
  waiter_ = std::thread([this] {
    WaitOptions wait{.timeout = std::chrono::hours(24 * 365), .stop = stop_waiting_.get_token()};
    auto operation = client_.wait_operation(operation_, wait, false);
    Result<int> status = fail(ErrorKind::kFailed, "");
    if (operation) status = exit_status(*operation);
    else if (const auto known = status_of_failure(operation.error())) status = *known;
    else status = fail(std::move(operation).error());
    loop_.post([this, status = std::move(status)]() mutable {
      status_ = std::move(status);
      maybe_done();
    });
  });
}

void ExecSession::maybe_done() {
  if (!status_) return;
  // An operation that failed promises no end of its streams.
  if (*status_ && broken_) return abort(std::move(*broken_));
  const bool complete = output_->ended() && (request_.interactive || errors_->ended());
  if (complete || !*status_) loop_.stop();
}

// Closing "control" makes incusd kill a command that runs.
void ExecSession::abort(Error error) {
  if (!failure_) failure_ = std::move(error);
  for (Channel* channel : {&control_, &in_, &out_, &err_}) {
    if (channel->socket) channel->socket->close();
  }
  loop_.stop();
}

}  // namespace locki::incus
