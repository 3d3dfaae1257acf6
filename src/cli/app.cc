#include "cli/app.h"

#include <exception>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "term/progress.h"

namespace locki::cli {
namespace {

int failed(const Context& context, const Error& error, bool session) {
  if (context.clear_progress) context.clear_progress();
  context.terminal.write_err(rendered(error, context.err_style()));
  return exit_status(error, session);
}

// What a library throws past its façade is a defect; it is told like any other failure, and nothing is left half-drawn.
Result<int> guarded(Context& context, const Command& command, const Arguments& arguments) {
  try {
    TRY(context.services.prepare(command));
    return command.run(context, arguments);
  } catch (const std::exception& e) {
    return fail(ErrorKind::kFailed, std::string("an unexpected error: ") + e.what(), "please report this with what you did");
  }
}

term::ProgressOptions progress_options(const Context& context) {
  const auto& facts = context.terminal.err_facts;
  return {.live = facts.moving,
          .colour = facts.colour,
          .columns = facts.columns > 0 ? facts.columns : 80,
          .verbosity = context.globals.quiet     ? term::Verbosity::kQuiet
                       : context.globals.verbose ? term::Verbosity::kVerbose
                                                 : term::Verbosity::kNormal};
}

}  // namespace

int run_app(Context& context, const std::vector<std::string>& words) {
  const auto commands = all_commands(context.agents);
  Invocation invocation;
  const auto parsed = parse(commands, words, invocation);
  context.globals = invocation.globals;
  const auto* command = invocation.command();
  const bool session = command != nullptr && command->session;
  if (invocation.version) return context.out(std::string("locki ") + LOCKI_VERSION + "\n"), 0;
  if (!parsed && !invocation.help) return failed(context, parsed.error(), session);
  if (command == nullptr) {
    if (invocation.help || words.empty()) return context.out(overview(commands, context.out_style())), 0;
    return failed(context, Error(ErrorKind::kUsage, "no command was given").with_hint("locki --help"), false);
  }
  if (invocation.help) return context.out(help_of(*command, invocation.words(), context.out_style())), 0;
  if (!command->run) {
    context.terminal.write_err(help_of(*command, invocation.words(), context.err_style()));
    return kExitUsage;
  }
  if (context.globals.verbose) log::open(context.terminal.err, log::Level::kDebug, "locki");
  term::ProgressDisplay display(progress_options(context), context.terminal.write_err);
  context.progress = display.sink();
  context.clear_progress = [&display] { display.clear(); };
  auto status = guarded(context, *command, invocation.arguments);
  display.clear();
  context.progress = {};
  context.clear_progress = {};
  return status ? *status : failed(context, status.error(), session);
}

}  // namespace locki::cli
