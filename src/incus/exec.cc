#include "incus/exec.h"

#include "base/strings.h"
#include "incus/exec_session.h"

namespace locki::incus {

namespace {

// On a machine that was just woken, or is very busy, incusd may give a command up before its connections are made.
Result<ExecResult> run_session(Client::Impl& client, ExecControl& control, const ExecRequest& request, const ExecStreams& streams, std::string_view instance,
                               std::chrono::milliseconds timeout) {
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    ExecSession session(client, control.impl(), request, streams);
    auto ended = session.run(instance, timeout);
    if (ended || !session.forgotten() || attempt == kAttempts) return ended;
  }
}

}  // namespace

Result<ExecResult> Client::exec(std::string_view instance, const ExecRequest& request, ExecIo io, ExecControl& control) {
  if (request.argv.empty()) return fail(ErrorKind::kUsage, "no command given");
  ExecStreams streams;
  streams.in = io.in;
  streams.out.fd = io.out;
  streams.err.fd = io.err;
  return run_session(*impl_, control, request, streams, instance, std::chrono::milliseconds(0));
}

Result<RunResult> Client::run(std::string_view instance, std::vector<std::string> argv, const RunOptions& options) {
  if (argv.empty()) return fail(ErrorKind::kUsage, "no command given");
  const std::string program = argv.front();
  const ExecRequest request{
      .argv = std::move(argv), .environment = options.environment, .cwd = options.cwd, .uid = options.uid, .gid = options.gid};
  RunResult result;
  ExecStreams streams;
  streams.in_text = options.input;
  streams.out = {.text = &result.out, .limit = options.max_output};
  streams.err = {.text = &result.err, .limit = options.max_output};
  ExecControl control;
  TRY_ASSIGN(const ExecResult ended, context(run_session(*impl_, control, request, streams, instance, options.timeout), "while running " + printable(program) + " in " + printable(instance)));
  result.status = ended.status;
  return result;
}

Result<std::string> Client::run_ok(std::string_view instance, std::vector<std::string> argv, const RunOptions& options) {
  constexpr std::size_t kTail = 2000;
  const std::string program = argv.empty() ? std::string() : argv.front();
  TRY_ASSIGN(RunResult result, run(instance, std::move(argv), options));
  if (result.status == 0) return std::move(result.out);
  std::string_view tail = trim(result.err);
  if (tail.size() > kTail) tail.remove_prefix(tail.size() - kTail);
  std::string message = printable(program) + " in " + printable(instance) + " exited with status " + std::to_string(result.status);
  if (!tail.empty()) message += ": " + printable(tail, kTail);
  return fail(ErrorKind::kFailed, std::move(message));
}

}  // namespace locki::incus
