// A fake incusd: answers that a test scripts by method and path, and exec as incusd does it (cmd/incusd/instance_exec.go), with the
// command run as a local process instead of in a container. Commands with "interactive" get a pseudo terminal.
#pragma once

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>

#include "base/json.h"
#include "support/fake_tls_server.h"
#include "sys/process.h"

namespace locki::test {

inline std::string sync_answer(const std::string& metadata) {
  return http_response(200, R"({"type":"sync","status":"Success","status_code":200,"metadata":)" + metadata + "}\n");
}
inline std::string async_answer(const std::string& id, const std::string& metadata = "{}") {
  return http_response(202, R"({"type":"async","status":"Operation created","status_code":100,"operation":"/1.0/operations/)" + id +
                                R"(","metadata":{"id":")" + id + R"(","class":"task","status":"Running","status_code":103,"err":"","metadata":)" + metadata + "}}\n");
}
inline std::string error_answer(int code, const std::string& text) {
  return http_response(code, R"({"type":"error","status":"","status_code":0,"error_code":)" + std::to_string(code) + R"(,"error":")" + text + "\"}\n");
}
inline std::string operation_answer(const std::string& id, int code, const std::string& error = "", const std::string& metadata = "null") {
  return sync_answer(R"({"id":")" + id + R"(","status":"x","status_code":)" + std::to_string(code) + R"(,"err":")" + error + R"(","metadata":)" + metadata + "}");
}

// The server's side of one exec.
class FakeExec {
 public:
  // `mark` tells its connections from those of other sessions, which may come late.
  FakeExec(const json::object& body, std::string mark) : mark_(std::move(mark)) {
    interactive_ = json::bool_or(body, "interactive");
    json::array words = *json::get_array(body, "command");
    spec_.program = std::string(words[0].get_string());
    for (std::size_t i = 1; i < words.size(); ++i) spec_.args.emplace_back(words[i].get_string());
    const json::object environment = *json::get_object(body, "environment");
    for (const auto& [key, value] : environment) spec_.environment[std::string(key)] = std::string(value.get_string());
    wanted_ = interactive_ ? 2 : 4;
    if (interactive_) {
      winsize size{static_cast<unsigned short>(json::int_or(body, "height")), static_cast<unsigned short>(json::int_or(body, "width")), 0, 0};
      int master = -1, slave = -1;
      if (openpty(&master, &slave, nullptr, nullptr, size.ws_row > 0 ? &size : nullptr) != 0) std::abort();
      in_ = sys::Fd(master);
      out_ = *sys::duplicate(master);
      far_in_ = sys::Fd(slave);
      fcntl(master, F_SETFD, FD_CLOEXEC);
      fcntl(slave, F_SETFD, FD_CLOEXEC);
      spec_.in = spec_.out = spec_.err = slave;
      spec_.new_session = true;
    } else {
      sys::Pipe in = *sys::make_pipe(), out = *sys::make_pipe(), err = *sys::make_pipe();
      in_ = std::move(in.write);
      far_in_ = std::move(in.read);
      out_ = std::move(out.read);
      far_out_ = std::move(out.write);
      err_ = std::move(err.read);
      far_err_ = std::move(err.write);
      spec_.in = far_in_.get();
      spec_.out = far_out_.get();
      spec_.err = far_err_.get();
    }
  }

  std::string fds() const {
    std::string text;
    for (const char* name : {"0", "1", "2", "control"}) {
      if (interactive_ && (*name == '1' || *name == '2')) continue;
      text += (text.empty() ? "" : ",") + std::string("\"") + name + R"(":"s)" + *name + mark_ + "\"";
    }
    return R"({"fds":{)" + text + "}}";
  }

  // Called on each WebSocket's thread; returns when that stream is over.
  void serve(std::string secret, WsPeer& socket) {
    if (!secret.ends_with(mark_)) return;
    secret.resize(secret.size() - mark_.size());
    {
      std::unique_lock lock(mutex_);
      sockets_[secret] = &socket;
      if (++connected_ == wanted_) start();
      changed_.notify_all();
      // incusd waits 10 s.
      if (!changed_.wait_for(lock, std::chrono::seconds(2), [&] { return connected_ >= wanted_; })) return;
    }
    socket.send(WsPeer::kPing, "keepalive");
    if (secret == "sc") serve_control(socket);
    if (secret == "s0" && !interactive_) serve_input(socket, true);
    if (secret == "s0" && interactive_) {
      std::thread output([&] { serve_output(socket, out_); });
      serve_input(socket, false);
      output.join();
      socket.cut();
    }
    if (secret == "s1") serve_output(socket, out_);
    if (secret == "s2") serve_output(socket, err_);
    std::unique_lock lock(mutex_);
    sockets_.erase(secret);
    if (secret != "sc" && (secret != "s0" || interactive_)) ++streams_over_;
    changed_.notify_all();
    // do() closes the connections only at the very end.
    changed_.wait(lock, [&] { return over(); });
  }

  // The answer to the operation's wait.
  std::string wait(const std::string& id) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(1), [&] { return over(); })) return operation_answer(id, 103);
    told = true;
    return operation_answer(id, 200, "", "{\"return\":" + std::to_string(status_) + "}");
  }
  // The same, for a test that answers by itself.
  bool told_after_end() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(1), [&] { return over(); });
  }
  bool killed() {
    const std::lock_guard lock(mutex_);
    return killed_;
  }
  bool wait_over(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return ended_; });
  }
  // A connection that is cut without its barrier.
  void cut(const std::string& secret) {
    const std::lock_guard lock(mutex_);
    if (auto found = sockets_.find(secret); found != sockets_.end()) found->second->cut();
  }
  std::atomic<std::uint64_t> sent = 0;  // bytes of output given to the client
  std::atomic<bool> told = false;       // the status

  void join() {
    if (runner_.joinable()) runner_.join();
  }
  ~FakeExec() { join(); }

 private:
  bool over() const { return ended_ && streams_over_ == (interactive_ ? 1 : 2); }

  void start() {  // with the lock held
    auto child = sys::spawn(spec_);
    far_in_.reset();
    far_out_.reset();
    far_err_.reset();
    if (!child) {
      status_ = 127;
      ended_ = true;
      return;
    }
    child_ = std::move(*child);
    runner_ = std::thread([this] {
      pollfd entry{child_.pidfd(), POLLIN, 0};
      while (poll(&entry, 1, -1) < 0) {
      }
      const sys::Exit exit = *child_.wait();
      const std::lock_guard lock(mutex_);
      status_ = exit.signal != 0 ? 128 + exit.signal : exit.status;
      ended_ = true;
      if (auto control = sockets_.find("sc"); control != sockets_.end()) control->second->cut();
      changed_.notify_all();
    });
  }

  void signal(int number) {
    const std::lock_guard lock(mutex_);
    if (!ended_) (void)child_.signal(number);
  }

  void serve_control(WsPeer& socket) {
    while (auto frame = socket.receive()) {
      if (frame->opcode != WsPeer::kText) continue;
      auto message = json::parse_object(frame->data);
      if (!message) continue;
      if (json::string_or(*message, "command") == "signal") signal(static_cast<int>(json::int_or(*message, "signal")));
      if (json::string_or(*message, "command") == "window-resize") {
        const json::object args = *json::get_object(*message, "args");
        winsize size{};
        size.ws_row = static_cast<unsigned short>(*parse_u64(*json::get_string(args, "height")));
        size.ws_col = static_cast<unsigned short>(*parse_u64(*json::get_string(args, "width")));
        ioctl(in_.get(), TIOCSWINSZ, &size);
      }
    }
    const std::lock_guard lock(mutex_);
    if (!ended_) {
      killed_ = true;
      (void)child_.signal(SIGKILL);
    }
  }

  void serve_input(WsPeer& socket, bool close_at_end) {
    while (auto frame = socket.receive()) {
      if (frame->opcode == WsPeer::kText || frame->opcode == WsPeer::kClose) break;
      if (frame->opcode == WsPeer::kBinary && !sys::write_all(in_.get(), frame->data)) break;
    }
    if (close_at_end) in_.reset();
  }

  void serve_output(WsPeer& socket, sys::Fd& from) {
    Bytes chunk(32 << 10);
    while (true) {
      const auto got = sys::read_some(from.get(), chunk.data(), chunk.size());
      if (!got || *got == 0) break;
      sent += *got;
      if (!socket.send(WsPeer::kBinary, as_text(ByteView(chunk.data(), *got)))) break;
    }
    socket.send(WsPeer::kText, "");
    if (!interactive_) from.reset();
  }

  const std::string mark_;
  bool interactive_ = false;
  sys::ProcessSpec spec_;
  sys::Fd in_, out_, err_, far_in_, far_out_, far_err_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, WsPeer*> sockets_;
  int connected_ = 0, wanted_ = 0, streams_over_ = 0, status_ = 0;
  bool ended_ = false, killed_ = false;
  sys::Child child_;
  std::thread runner_;
};

class FakeIncus {
 public:
  using Handler = std::function<std::string(const HttpRequest&)>;

  FakeIncus() {
    tls.on_request = [this](const HttpRequest& request, TlsPeer&) { return answer(request); };
    tls.on_websocket = [this](const HttpRequest& request, WsPeer& socket) {
      const std::size_t at = request.target.find("secret=");
      if (exec && at != std::string::npos) exec.load()->serve(request.target.substr(at + 7), socket);
    };
  }
  ~FakeIncus() { tls.stop(); }
  // "GET /1.0/instances/a": without the query.
  void on(const std::string& method_and_path, Handler handler) {
    const std::lock_guard lock(mutex_);
    handlers_[method_and_path] = std::move(handler);
  }
  void on(const std::string& method_and_path, std::string raw) {
    on(method_and_path, [raw = std::move(raw)](const HttpRequest&) { return raw; });
  }
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

  FakeTlsServer tls;
  std::atomic<FakeExec*> exec = nullptr;  // of the last exec request
  // The same, once there is one: for the threads of a test.
  FakeExec& running() {
    while (exec == nullptr) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return *exec;
  }

 private:
  std::string answer(const HttpRequest& request) {
    const std::string name = request.method + " " + request.path();
    Handler handler;
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(request.method + " " + request.target);
      if (auto found = handlers_.find(name); found != handlers_.end()) handler = found->second;
    }
    if (handler) return handler(request);
    if (name == "POST /1.0/instances/box/exec") {
      const std::lock_guard lock(mutex_);
      execs_.push_back(std::make_unique<FakeExec>(*json::parse_object(request.body), "." + std::to_string(execs_.size())));
      exec = execs_.back().get();
      return async_answer("e0", exec.load()->fds());
    }
    if (name == "GET /1.0/operations/e0/wait" && exec) return exec.load()->wait("e0");
    return error_answer(404, "Not Found");
  }
  std::mutex mutex_;
  std::vector<std::unique_ptr<FakeExec>> execs_;  // connections may outlive their session
  std::map<std::string, Handler> handlers_;
  std::vector<std::string> seen_;
};

}  // namespace locki::test
