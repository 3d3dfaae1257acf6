// locki AGENT [NAME] [ARGS…]
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"
#include "cli/session.h"
#include "sys/line_log.h"

namespace locki::cli {
namespace {

// What the session left behind, for the person who comes back from it. Never an error: the session is over.
void say_what_changed(Context& context, Opened& opened, const std::string& begun) {
  if (!wants_terminal(context) || !context.terminal.err_facts.terminal) return;
  const auto reply = opened.daemon->call("sandbox.list", {{"cwd", opened.sandbox.worktree}, {"all", false}}, {});
  if (!reply) return;
  const auto sandbox = find_sandbox(reply->result, opened.sandbox.name);
  if (!sandbox) return;
  if (const auto line = session_summary(*sandbox); !line.empty()) context.note(line);
  const auto log = opened.daemon->call("net.log", {{"cwd", opened.sandbox.worktree}, {"name", opened.sandbox.name}, {"limit", 2000}}, {});
  const auto* entries = log ? json::array_or_null(log->result, "entries") : nullptr;
  if (entries == nullptr) return;
  if (const auto text = refused_summary(*entries, begun); !text.empty()) context.note(text);
}

Result<int> run(Context& context, const Arguments& arguments, const std::string& agent) {
  if (const auto name = arguments.value("NAME"); !name.empty()) TRY(check_name(name));
  TRY_ASSIGN(auto opened, open_sandbox(context, {.name = arguments.value("NAME"), .agent = agent, .create = true, .from = arguments.value("from")}));
  if (opened.sandbox.argv_prefix.empty()) return fail(ErrorKind::kProtocol, "the daemon does not say how to start " + agent);
  SessionRequest request{.argv = {}, .directory = ""};
  // Somebody sits down to work with it: it gets a screen of its own, which outlives this terminal. With arguments it is a command.
  const bool own_screen = wants_terminal(context) && arguments.rest.empty() && !arguments.flag("no-detach") && !opened.sandbox.agent_session.empty();
  if (own_screen) request.argv = {opened.sandbox.agent_session, agent};
  request.argv.insert(request.argv.end(), opened.sandbox.argv_prefix.begin(), opened.sandbox.argv_prefix.end());
  request.argv.insert(request.argv.end(), arguments.rest.begin(), arguments.rest.end());
  const std::string begun = sys::log_timestamp(std::chrono::system_clock::now());
  TRY_ASSIGN(const int status, run_session(context, opened.sandbox, request));
  say_what_changed(context, opened, begun);
  return status;
}

}  // namespace

Command agent_run_command(const std::string& agent) {
  return {.name = agent,
          .group = "Agents",
          .summary = "run that agent in a sandbox, which is made when there is none of that name",
          .description = "Runs " + agent +
                         " in the sandbox NAME with every permission prompt switched off. Where there is none yet, its branch,\n"
                         "worktree and container are made first. Everything behind NAME goes to the agent, also behind --.\n"
                         "Without ARGS on a terminal, it runs on a screen of its own: closing the terminal or Ctrl-] leaves it running, and the\n"
                         "same command (or locki attach) takes it up again.",
          .positionals = {name_positional()},
          .options = {{"--no-detach", "", "end the agent with the terminal"},
                      {"--from", "REF", "the branch or commit a new sandbox starts from (default: the current one)"}},
          .examples = {{"locki " + agent + " my-feature", "start or go on"},
                       {"locki " + agent + " my-feature -- --version", "pass --version on to the agent"},
                       {"locki " + agent + " --from main fix-login", "begin a new branch at main"}},
          .passes_rest = true,
          .rest_name = "ARGS",
          .session = true,
          .inside = true,
          .run = [agent](Context& context, const Arguments& arguments) { return run(context, arguments, agent); }};
}

}  // namespace locki::cli
