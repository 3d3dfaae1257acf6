#include "daemon/methods.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/strings.h"
#include "daemon/meeting.h"
#include "gate/policy.h"

namespace locki::daemon {

using sandbox::Manager;
using sandbox::Where;

namespace {

struct Call {
  Manager& manager;
  Connection& connection;
  const json::object& params;
  const ProgressSink& progress;

  std::string text(std::string_view key) const { return json::string_or(params, key); }
  std::vector<std::string> texts(std::string_view key) const {
    std::vector<std::string> all;
    if (const auto* given = json::array_or_null(params, key))
      for (const auto& each : *given)
        if (each.is_string()) all.emplace_back(each.get_string());
    return all;
  }
  bool flag(std::string_view key) const { return json::bool_or(params, key); }
  Where where() const { return {text("cwd"), text("name")}; }
  std::size_t limit() const { return static_cast<std::size_t>(std::clamp<std::int64_t>(json::int_or(params, "limit", 100), 1, 100'000)); }
};

json::object brief(const sandbox::Record& record) {
  return {{"name", record.name}, {"branch", record.name}, {"worktree", record.worktree}, {"repo", record.repo}, {"instance", record.instance}};
}

Result<Reply> reply(Result<sandbox::Record> record) {
  if (!record) return fail(std::move(record).error());
  return Reply{brief(*record), {}};
}

Result<Reply> reply(Result<> done) {
  if (!done) return fail(std::move(done).error());
  return Reply{};
}

Result<Reply> reply(std::string_view key, Result<json::array> list) {
  if (!list) return fail(std::move(list).error());
  return Reply{{{key, std::move(*list)}}, {}};
}

Result<Reply> open(const Call& call) {
  TRY_ASSIGN(const auto opened, call.manager.open_sandbox({call.where(), call.text("agent"), call.flag("create"), call.text("from"), call.text("program")}, call.progress));
  call.connection.sessions.insert(opened.record.id);
  json::object o = brief(opened.record);
  o["uid"] = 0;
  o["gid"] = 0;
  json::object environment;
  for (const auto& [key, value] : opened.environment) environment[key] = value;
  o["environment"] = std::move(environment);
  json::array command;
  for (const auto& word : opened.command) command.emplace_back(word);
  o["argv_prefix"] = std::move(command);
  o["agent_session"] = sandbox::kAgentSession;
  const auto keys = call.manager.machine().key_files();
  o["client_cert"] = keys.client_cert.native();
  o["client_key"] = keys.client_key.native();
  o["server_cert"] = keys.server_cert.native();
  // Spares the caller the long handshake, of which the machine does the greater part. As secret as the key beside it.
  if (const auto client = call.manager.machine().incus()) o["tls_ticket"] = base64(as_bytes((*client)->ticket()));
  return Reply{std::move(o), {}};
}

Result<Reply> connect_incus(const Call& call) {
  TRY_ASSIGN(auto fd, call.manager.machine().connect_incus());
  Reply out;
  out.fds.push_back(std::move(fd));
  return out;
}

Result<Reply> change_network(const Call& call, bool allow) {
  TRY_ASSIGN(const auto scope, sandbox::parse_scope(call.text("scope")));
  TRY(call.manager.change_network(call.where(), allow, call.text("host"), scope));
  const auto rule = gate::parse_rule_target(allow, call.text("host"), "");
  if (!rule) return Reply{};
  const auto works = gate::can_work(*rule);
  return Reply{{{"note", works ? gate::limits_of(*rule) : works.error().message()}}, {}};
}

Result<Reply> leave(const Call& call) {
  // While somebody uses it, a daemon of another build stays.
  const bool leaving = call.manager.sessions() == 0 || call.flag("force");
  call.connection.leave = leaving;
  return Reply{{{"leaving", leaving}}, {}};
}

Result<Reply> vm_delete(const Call& call) {
  if (!call.flag("force")) TRY(call.manager.nothing_to_lose(call.progress));
  return reply(call.manager.delete_machine(!call.flag("golden"), call.progress));
}

using Handler = std::function<Result<Reply>(const Call&)>;

const std::map<std::string, Handler, std::less<>>& table() {
  static const std::map<std::string, Handler, std::less<>> kTable{
      {"ping", [](const Call&) -> Result<Reply> { return Reply{{{"version", LOCKI_VERSION}, {"build", own_build()}, {"pid", ::getpid()}}, {}}; }},
      {"daemon.leave", leave},
      {"vm.status",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(auto status, c.manager.machine_status());
         return Reply{std::move(status), {}};
       }},
      {"vm.build", [](const Call& c) { return reply(c.manager.build_machine(c.progress)); }},
      {"vm.start", [](const Call& c) { return reply(c.manager.start_machine(c.progress)); }},
      {"vm.stop", [](const Call& c) { return reply(c.manager.stop_machine(c.flag("force"), c.progress)); }},
      {"vm.delete", vm_delete},
      {"vm.prune",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(const auto freed, c.manager.prune_machine());
         return Reply{{{"freed_bytes", freed}}, {}};
       }},
      {"vm.suspend",
       [](const Call& c) { return reply(c.manager.suspend_machine(c.flag("force"), c.progress)); }},
      {"sandbox.open", open},
      {"sandbox.new", [](const Call& c) { return reply(c.manager.create(c.where(), c.text("from"), c.progress)); }},
      {"sandbox.list", [](const Call& c) { return reply("sandboxes", c.manager.list(c.text("cwd"), c.flag("all"))); }},
      {"sandbox.start", [](const Call& c) { return reply(c.manager.start(c.where(), c.progress)); }},
      {"sandbox.stop", [](const Call& c) { return reply(c.manager.stop(c.where(), c.flag("force"), c.progress)); }},
      {"sandbox.remove", [](const Call& c) { return reply(c.manager.remove({c.where(), c.flag("force"), c.flag("delete_branch")}, c.progress)); }},
      {"sandbox.remove_merged", [](const Call& c) { return reply("removed", c.manager.remove_merged(c.text("cwd"), c.progress)); }},
      {"sandbox.undo",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(const auto changed, c.manager.undo(c.where(), c.text("id"), c.progress));
         return Reply{{{"changed", changed}}, {}};
       }},
      {"sandbox.sync",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(auto result, c.manager.sync(c.where(), json::bool_or(c.params, "durable"), c.progress));
         return Reply{std::move(result), {}};
       }},
      {"sandbox.history", [](const Call& c) { return reply("versions", c.manager.history(c.where())); }},
      {"sandbox.review",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(auto report, c.manager.review({c.where(), c.text("into"), c.text("branch")}, c.progress));
         return Reply{std::move(report), {}};
       }},
      {"sandbox.fetch",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(auto report, c.manager.fetch({c.where(), c.texts("branches"), c.flag("list"), c.flag("prune")}, c.progress));
         return Reply{std::move(report), {}};
       }},
      {"sandbox.accept", [](const Call& c) { return reply("accepted", c.manager.accept_held(c.where(), c.texts("paths"), c.progress)); }},
      {"incus.connect", connect_incus},
      {"agent.list", [](const Call& c) { return reply("agents", c.manager.agents()); }},
      {"agent.update", [](const Call& c) { return reply(c.manager.update_agent(c.text("agent"), c.progress)); }},
      {"net.policy",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(auto policy, c.manager.network_policy_json(c.where()));
         return Reply{std::move(policy), {}};
       }},
      {"net.explain",
       [](const Call& c) -> Result<Reply> {
         TRY_ASSIGN(auto text, c.manager.explain_network(c.where(), c.text("host")));
         return Reply{{{"text", std::move(text)}}, {}};
       }},
      {"net.allow", [](const Call& c) { return change_network(c, true); }},
      {"net.deny", [](const Call& c) { return change_network(c, false); }},
      {"net.mode", [](const Call& c) { return reply(c.manager.set_network_mode(c.where(), c.text("mode"))); }},
      {"net.wishes", [](const Call& c) { return reply("wishes", c.manager.network_wishes(c.where())); }},
      {"net.grant", [](const Call& c) { return reply("granted", c.manager.grant_wishes(c.where(), c.texts("rules"))); }},
      {"net.log", [](const Call& c) { return reply("entries", c.manager.network_log(c.where(), c.limit())); }},
      {"net.questions", [](const Call& c) { return reply("questions", Result<json::array>(c.manager.network_questions())); }},
      {"net.answer", [](const Call& c) { return reply(c.manager.answer_network(c.text("sandbox_id"), c.text("target"), c.text("answer"))); }},
      {"audit", [](const Call& c) { return reply("entries", c.manager.audit(c.where(), c.limit())); }},
      {"doctor", [](const Call& c) { return reply("checks", c.manager.doctor()); }},
  };
  return kTable;
}

}  // namespace

Result<Reply> call_method(Manager& manager, Connection& connection, const std::string& method, const json::object& params, const ProgressSink& progress) {
  const auto found = table().find(method);
  if (found == table().end()) {
    return fail(ErrorKind::kUsage, fmt::format("the daemon has no method \"{}\"", printable(method)), "it may be older than this program: locki vm stop, then try again");
  }
  return found->second({manager, connection, params, progress});
}

}  // namespace locki::daemon
