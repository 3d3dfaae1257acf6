// Everything a command may touch, handed to it: tests hand in fakes. Used from the main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "daemon/client.h"
#include "gate/cost.h"
#include "incus/exec.h"
#include "sys/xdg.h"
#include "term/picker.h"
#include "term/style.h"

namespace locki::cli {

// One connection to the daemon. One call at a time.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual Result<daemon::Reply> call(std::string_view method, json::object params, const ProgressSink& progress) = 0;
};

// What `sandbox.open` answers: where a command is to run, and how.
struct OpenedSandbox {
  std::string name, instance, worktree;
  std::uint32_t uid = 0, gid = 0;
  std::map<std::string, std::string> environment;
  std::string agent_session;                            // program inside: runs or joins an agent's own screen
  std::vector<std::string> argv_prefix;                 // the agent and its bypass arguments; empty for exec
  std::string client_cert, client_key, server_cert;     // files
  std::string tls_ticket;                               // net::TlsConfig::ticket in base64; may be empty
};

// One command running in a sandbox. exec() is called once and blocks; the others may be called from any thread at any time.
class Execution {
 public:
  virtual ~Execution() = default;
  virtual Result<incus::ExecResult> exec(const std::string& instance, const incus::ExecRequest& request, incus::ExecIo io) = 0;
  virtual void resize(int width, int height) = 0;
  virtual void signal(int number) = 0;
  virtual void cancel() = 0;
};

struct Command;

class Services {
 public:
  virtual ~Services() = default;
  // Called once, before the command runs. May not return: the small program becomes the one that can do it.
  virtual Result<> prepare(const Command&) { return {}; }
  virtual Result<std::unique_ptr<Caller>> connect() = 0;           // starts the daemon when none runs
  virtual Result<std::unique_ptr<Caller>> connect_existing() = 0;  // kUnavailable when none runs
  virtual Result<std::unique_ptr<Execution>> execution(const OpenedSandbox& sandbox) = 0;
  virtual Result<std::optional<std::size_t>> pick(const std::string& prompt, const std::vector<term::PickerItem>& items) = 0;
  virtual Result<int> run_daemon() = 0;
  // Of a gate of its own in this process: no machine, no daemon.
  virtual Result<gate::GateCost> gate_cost(const gate::CostPlan& plan) = 0;
};

// The three standard descriptors. Text goes through the functions; sessions use the numbers.
struct Terminal {
  int in = 0, out = 1, err = 2;
  term::Facts in_facts, out_facts, err_facts;
  std::function<void(std::string_view)> write_out, write_err;
};

struct Globals {
  bool json = false, quiet = false, verbose = false;
};

struct Context {
  Services& services;
  Terminal terminal;
  sys::Paths paths;
  sys::Installation installation;
  std::string cwd;
  std::map<std::string, std::string> environment;  // of the host
  std::vector<std::string> agents;                 // names
  Globals globals;
  ProgressSink progress;
  std::function<void()> clear_progress;

  term::Style out_style() const { return term::Style(terminal.out_facts.colour); }
  term::Style err_style() const { return term::Style(terminal.err_facts.colour); }
  void out(std::string_view text) const {
    if (clear_progress) clear_progress();
    terminal.write_out(text);
  }
  // A line for the person at the terminal; silent with --quiet.
  void note(std::string_view line) const {
    if (globals.quiet) return;
    if (clear_progress) clear_progress();
    terminal.write_err(std::string(line) + "\n");
  }
  // One call on a connection of its own.
  Result<json::object> call(std::string_view method, json::object params);
  // Data: indented JSON, safe for a terminal.
  void out_json(const json::value& value) const;
};

}  // namespace locki::cli
