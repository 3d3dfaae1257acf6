// One exec session from its request to its exit status. For incus/ only. Runs on an event loop of its own inside run().
//
// How Incus does it (cmd/incusd/instance_exec.go, client/incus_instances.go): POST …/exec makes an operation with one secret for each
// WebSocket: "control" and "0" with a terminal, else "control", "0", "1", "2". The command starts when they are connected (10 s).
// A stream's end is an empty text message. When the command ends incusd closes "control" (and when "control" is closed by us, it
// kills the command), sends what output is left, then ends the operation, whose metadata has the status under "return". It forgets
// a finished operation after 5 s, so the waiting for it starts when "control" closes, not when a slow reader took all output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "incus/client_impl.h"
#include "incus/exec_control.h"
#include "incus/exec_pump.h"

namespace locki::incus {

struct ExecStreams {
  int in = -1;
  std::string_view in_text;  // when in is -1
  OutputPump::Target out, err;
};

class ExecSession {
 public:
  ExecSession(Client::Impl& client, ExecControl::Impl& control, const ExecRequest& request, const ExecStreams& streams)
      : client_(client), control_queue_(control), request_(request), streams_(streams), deadline_(loop_), nudge_(loop_) {}
  ~ExecSession();

  // timeout 0: none
  Result<ExecResult> run(std::string_view instance, std::chrono::milliseconds timeout);
  // After run() failed: incusd had forgotten the operation before all its connections were there, so its command never began.
  bool forgotten() const { return failure_ && failure_->kind() == ErrorKind::kNotFound && !running_; }

 private:
  // One of the operation's WebSockets.
  struct Channel {
    std::string secret;
    std::unique_ptr<net::WebSocket> socket;
  };

  Result<> create(std::string_view instance);
  Result<> open_channels();
  void all_open();
  void watch_control();
  void watch_stdin();
  void read_queue();
  void send_queued();
  void take_broken(Error error);
  void output_ended(Channel& channel, OutputPump::End end, std::optional<Error> error);
  void reader_is_gone();
  void wait_for_status();
  void maybe_done();
  void abort(Error error);
  Channel& data_channel(bool err) { return request_.interactive ? in_ : (err ? err_ : out_); }

  Client::Impl& client_;
  ExecControl::Impl& control_queue_;
  const ExecRequest& request_;
  const ExecStreams& streams_;

  net::EventLoop loop_;
  net::Timer deadline_, nudge_;
  Channel control_, in_, out_, err_;
  std::optional<InputPump> input_;
  std::optional<OutputPump> output_, errors_;
  std::optional<net::FdStream> queue_watch_;
  std::uint8_t queue_bytes_[8] = {};
  std::string operation_;
  int opening_ = 0;
  bool running_ = false;         // all connections are open
  bool command_ended_ = false;   // incusd closed "control"
  bool control_writing_ = false;
  std::vector<std::string> to_send_;
  bool out_closed_ = false;
  std::optional<Error> failure_;  // set by abort()
  std::optional<Error> broken_;   // an output ended too early; Incus may know why
  std::optional<Result<int>> status_;

  std::stop_source stop_waiting_;
  std::thread waiter_;
};

// The "return" of a finished exec operation; kFailed when it is none. Pure.
Result<int> exit_status(const json::object& operation);
// The status that an exec operation's failure stands for; nullopt when the command could not be run. Pure.
std::optional<int> status_of_failure(const Error& error);
// The body of POST …/exec. Pure.
json::value exec_body(const ExecRequest& request);

}  // namespace locki::incus
