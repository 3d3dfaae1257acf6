#include "cli/opened.h"

#include "cli/names.h"

namespace locki::cli {
namespace {

Result<std::uint32_t> get_id(const json::object& reply, std::string_view key) {
  TRY_ASSIGN(const auto id, json::get_int(reply, key));
  if (id < 0 || id > 0x7fffffff) return fail(ErrorKind::kProtocol, "the daemon answered with an impossible " + std::string(key));
  return static_cast<std::uint32_t>(id);
}

}  // namespace

Result<OpenedSandbox> read_opened(const json::object& reply) {
  OpenedSandbox sandbox;
  TRY_ASSIGN(sandbox.name, json::get_string(reply, "name"));
  TRY_ASSIGN(sandbox.instance, json::get_string(reply, "instance"));
  TRY_ASSIGN(sandbox.worktree, json::get_string(reply, "worktree"));
  TRY_ASSIGN(sandbox.uid, get_id(reply, "uid"));
  TRY_ASSIGN(sandbox.gid, get_id(reply, "gid"));
  TRY_ASSIGN(sandbox.client_cert, json::get_string(reply, "client_cert"));
  TRY_ASSIGN(sandbox.client_key, json::get_string(reply, "client_key"));
  TRY_ASSIGN(sandbox.server_cert, json::get_string(reply, "server_cert"));
  TRY_ASSIGN(const auto environment, json::get_object(reply, "environment"));
  for (const auto& member : environment) {
    if (!member.value().is_string()) return fail(ErrorKind::kProtocol, "the daemon answered with an environment that is none");
    sandbox.environment.emplace(member.key(), member.value().get_string());
  }
  sandbox.tls_ticket = json::string_or(reply, "tls_ticket");
  sandbox.agent_session = json::string_or(reply, "agent_session");
  TRY_ASSIGN(const auto prefix, json::get_array(reply, "argv_prefix"));
  for (const auto& word : prefix) {
    if (!word.is_string()) return fail(ErrorKind::kProtocol, "the daemon answered with a command that is none");
    sandbox.argv_prefix.emplace_back(word.get_string());
  }
  return sandbox;
}

Result<Opened> open_sandbox(Context& context, const OpenRequest& request) {
  TRY_ASSIGN(auto daemon, context.services.connect());
  TRY_ASSIGN(const auto name, which_sandbox(context, *daemon, request.name));
  TRY_ASSIGN(const auto reply, daemon->call("sandbox.open",
                                            {{"cwd", context.cwd},
                                             {"name", name},
                                             {"agent", request.agent},
                                             {"create", request.create && !request.name.empty()},
                                             {"from", request.from},
                                             {"program", request.program}},
                                            context.progress));
  TRY_ASSIGN(auto sandbox, read_opened(reply.result));
  return Opened{std::move(daemon), std::move(sandbox)};
}

}  // namespace locki::cli
