#include "sandbox/far_end.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "base/log.h"

namespace locki::sandbox {

namespace {

// What a far end that has ended said last may still be on its way through the machine's network.
constexpr int kLastWordsMs = 2000;

void end_stream(int fd, bool let_it_come) {
  pollfd entry{fd, POLLRDHUP, 0};
  if (let_it_come) (void)::poll(&entry, 1, kLastWordsMs);
  ::shutdown(fd, SHUT_RDWR);
}

}  // namespace

FarEnd::FarEnd(std::string id, std::shared_ptr<incus::Client> client, std::string instance, int log)
    : id_(std::move(id)), client_(std::move(client)), instance_(std::move(instance)), log_(log) {}

void FarEnd::start(std::vector<std::string> argv, int in, int out) {
  {
    const std::scoped_lock lock(mutex_);
    control_ = std::make_unique<incus::ExecControl>();
    if (cancelled_) control_->cancel();
  }
  thread_ = std::thread([this, argv = std::move(argv), in, out] { run(argv, in, out); });
}

void FarEnd::run(const std::vector<std::string>& argv, int in, int out) {
  auto result = client_->exec(instance_, {.argv = argv}, {.in = in, .out = out, .err = log_}, *control_);
  if (!result) log::info("mirror {}: endpoint: {}", id_, result.error().describe());
  else log::info("mirror {}: the endpoint ended with status {}", id_, result->status);
  int stream = -1;
  bool let_it_come = false;
  {
    const std::scoped_lock lock(mutex_);
    ended_ = std::move(result);
    stream = stream_.get();
    let_it_come = expected_ && !cancelled_;
  }
  if (expected_) expected_->cancel();
  if (stream >= 0) end_stream(stream, let_it_come);
}

Result<sys::Fd> FarEnd::through_exec(const std::vector<std::string>& endpoint) {
  TRY_ASSIGN(sys::SocketPair pair, sys::make_socketpair());
  stream_ = std::move(pair.b);
  start(endpoint, stream_.get(), stream_.get());
  return std::move(pair.a);
}

Result<sys::Fd> FarEnd::by_dialling(std::vector<std::string> endpoint, StreamDoor& door, const StreamWay& way, std::chrono::milliseconds patience) {
  TRY_ASSIGN(expected_, door.expect(way.caller));
  TRY_ASSIGN(lifeline_, sys::make_pipe());
  // Not an argument: whoever runs in the container can read those.
  TRY(sys::write_all(lifeline_.write.get(), expected_->token()));
  endpoint.insert(endpoint.end(), {"--dial", way.where});
  start(std::move(endpoint), lifeline_.read.get(), -1);
  auto arrived = expected_->wait(patience).and_then([this](sys::Fd fd) { return keep_hand_on(std::move(fd)); });
  if (arrived) return arrived;
  const auto ended = stop();
  if (ended && *ended) return fail(ErrorKind::kUnavailable, fmt::format("the endpoint ended with status {}", (*ended)->status));
  if (ended && (*ended).error().kind() != ErrorKind::kCancelled) return fail(Error((*ended).error()));
  const std::scoped_lock lock(mutex_);
  if (cancelled_) return fail(ErrorKind::kCancelled, "the mirror was stopped");
  return fail(ErrorKind::kUnavailable, arrived.error().describe());
}

Result<sys::Fd> FarEnd::keep_hand_on(sys::Fd stream) {
  TRY_ASSIGN(sys::Fd again, sys::duplicate(stream.get()));
  const std::scoped_lock lock(mutex_);
  stream_ = std::move(again);
  if (ended_) end_stream(stream_.get(), false);
  return stream;
}

void FarEnd::cancel() {
  const std::scoped_lock lock(mutex_);
  cancelled_ = true;
  if (control_) control_->cancel();
}

void FarEnd::end() {
  cancel();
  (void)stop();
}

std::optional<Result<incus::ExecResult>> FarEnd::stop() {
  {
    const std::scoped_lock lock(mutex_);
    if (control_) control_->cancel();
  }
  if (thread_.joinable()) thread_.join();
  const std::scoped_lock lock(mutex_);
  control_.reset();
  stream_.reset();
  expected_.reset();
  lifeline_ = {};
  return std::exchange(ended_, std::nullopt);
}

}  // namespace locki::sandbox
