// A daemon that answers from a script, sandboxes that run a function, and a context that catches all output.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/command.h"
#include "cli/context.h"

namespace locki::cli {

struct Recorded {
  std::string method;
  json::object params;
};

class FakeServices : public Services {
 public:
  using Handler = std::function<Result<json::object>(const json::object&)>;
  std::map<std::string, Handler> methods;
  std::vector<Recorded> calls;
  std::function<Result<incus::ExecResult>(class FakeExecution&, const std::string&, const incus::ExecRequest&, incus::ExecIo)> program;
  std::vector<int> signals;
  bool cancelled = false;
  int open_callers = 0;
  std::optional<std::size_t> picked;
  std::vector<term::PickerItem> offered;

  void answer(const std::string& method, const std::string& reply) {
    methods[method] = [reply](const json::object&) { return json::parse_object(reply); };
  }
  void refuse(const std::string& method, Error error) {
    methods[method] = [error](const json::object&) -> Result<json::object> { return fail(error); };
  }
  const Recorded* call_of(const std::string& method) const {
    for (const auto& call : calls) {
      if (call.method == method) return &call;
    }
    return nullptr;
  }

  // As the small program: it can only go inside for commands that say so.
  bool inside = false;
  Result<> prepare(const Command& command) override {
    inside = command.inside;
    return {};
  }
  Result<std::unique_ptr<Caller>> connect() override;
  Result<std::unique_ptr<Caller>> connect_existing() override { return connect(); }
  Result<std::unique_ptr<Execution>> execution(const OpenedSandbox&) override;
  Result<std::optional<std::size_t>> pick(const std::string&, const std::vector<term::PickerItem>& items) override {
    offered = items;
    return picked;
  }
  Result<int> run_daemon() override { return 7; }
  std::function<Result<gate::GateCost>(const gate::CostPlan&)> cost;
  Result<gate::GateCost> gate_cost(const gate::CostPlan& plan) override { return cost(plan); }
};

class FakeCaller : public Caller {
 public:
  explicit FakeCaller(FakeServices& services) : services_(services) { ++services_.open_callers; }
  ~FakeCaller() override { --services_.open_callers; }
  Result<daemon::Reply> call(std::string_view method, json::object params, const ProgressSink&) override {
    services_.calls.push_back({std::string(method), params});
    const auto found = services_.methods.find(std::string(method));
    if (found == services_.methods.end()) return fail(ErrorKind::kUsage, "the fake daemon has no method " + std::string(method));
    auto reply = found->second(params);
    if (!reply) return fail(std::move(reply).error());
    return daemon::Reply{std::move(*reply), {}};
  }

 private:
  FakeServices& services_;
};

class FakeExecution : public Execution {
 public:
  explicit FakeExecution(FakeServices& services) : services_(services) {}
  Result<incus::ExecResult> exec(const std::string& instance, const incus::ExecRequest& request, incus::ExecIo io) override {
    return services_.program(*this, instance, request, io);
  }
  void resize(int, int) override {}
  void signal(int number) override {
    const std::lock_guard lock(mutex_);
    services_.signals.push_back(number);
    changed_.notify_all();
  }
  void cancel() override {
    const std::lock_guard lock(mutex_);
    services_.cancelled = cancelled_ = true;
    changed_.notify_all();
  }
  bool cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  // For programs: waits for a condition on what came in; false after five seconds.
  bool wait_until(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5), condition);
  }

 private:
  FakeServices& services_;
  bool cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

inline Result<std::unique_ptr<Caller>> FakeServices::connect() { return std::make_unique<FakeCaller>(*this); }
inline Result<std::unique_ptr<Execution>> FakeServices::execution(const OpenedSandbox&) {
  if (!inside) return fail(ErrorKind::kFailed, "a command that goes inside must say so: Command::inside");
  return std::make_unique<FakeExecution>(*this);
}

// The six agents, a home in /home/me, and nothing that is a terminal.
struct Desk {
  FakeServices services;
  std::string out, err;
  Context context{.services = services,
                  .terminal = {},
                  .paths = {.home = "/home/me", .config = "/home/me/.config/locki"},
                  .installation = {},
                  .cwd = "/home/me/app",
                  .environment = {},
                  .agents = {"claude", "codex", "copilot", "gemini", "opencode", "pi"}};
  Desk() {
    context.terminal.write_out = [this](std::string_view text) { out += text; };
    context.terminal.write_err = [this](std::string_view text) { err += text; };
  }
  int run(const std::vector<std::string>& words) {
    out.clear();
    err.clear();
    return run_app(context, words);
  }
};

inline const char* const kOpened = R"({"name":"fix","branch":"fix","worktree":"/home/me/wt/fix","instance":"locki-fix","uid":0,"gid":0,
  "environment":{"HOME":"/root","TERM":"inside"},"argv_prefix":["/opt/claude","--yolo"],"client_cert":"/c","client_key":"/k","server_cert":"/s"})";

}  // namespace locki::cli
