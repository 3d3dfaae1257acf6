#include "cli/bench/inside.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/strings.h"

namespace locki::cli {

Result<std::string> run_inside(Context& context, const OpenedSandbox& sandbox, std::vector<std::string> argv) {
  TRY_ASSIGN(auto execution, context.services.execution(sandbox));
  TRY_ASSIGN(sys::Pipe out, sys::make_pipe());
  const incus::ExecRequest request{.argv = std::move(argv), .environment = {}, .cwd = sandbox.worktree};
  std::string text;
  std::thread reader([&] {
    text = sys::read_all(out.read.get(), 1 << 20).value_or("");
    out.read.reset();  // nobody waits for room in a pipe that is not read any more
  });
  const auto ended = execution->exec(sandbox.instance, request, {.in = -1, .out = out.write.get(), .err = -1});
  out.write.reset();
  reader.join();
  if (!ended) return fail(ended.error());
  if (ended->status != 0) return fail(ErrorKind::kFailed, fmt::format("the command inside ended with status {}", ended->status));
  return text;
}

Result<std::unique_ptr<RunningInside>> RunningInside::start(Context& context, const OpenedSandbox& sandbox, std::vector<std::string> argv) {
  TRY_ASSIGN(auto execution, context.services.execution(sandbox));
  TRY_ASSIGN(sys::Pipe out, sys::make_pipe());
  auto running = std::unique_ptr<RunningInside>(new RunningInside(std::move(execution), std::move(out)));
  incus::ExecRequest request{.argv = std::move(argv), .environment = {}, .cwd = sandbox.worktree};
  running->thread_ = std::thread([self = running.get(), instance = sandbox.instance, request = std::move(request)] {
    (void)self->execution_->exec(instance, request, {.in = -1, .out = self->out_.write.get(), .err = -1});
    self->out_.write.reset();
  });
  return running;
}

RunningInside::~RunningInside() {
  execution_->cancel();
  out_.read.reset();
  if (thread_.joinable()) thread_.join();
}

Result<std::string> RunningInside::line(std::chrono::milliseconds patience) {
  constexpr std::size_t kLongest = 4096;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string line;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    TRY_ASSIGN(const bool came, sys::wait_readable(out_.read.get(), left));
    if (!came) return fail(ErrorKind::kTimeout, "the command inside says nothing");
    std::uint8_t byte = 0;
    TRY_ASSIGN(const std::size_t n, sys::read_some(out_.read.get(), &byte, 1));
    if (n == 0) return fail(ErrorKind::kUnavailable, "the command inside has ended");
    if (byte == '\n') return line;
    line += static_cast<char>(byte);
    if (line.size() > kLongest) return fail(ErrorKind::kProtocol, "the command inside says what it was not asked");
  }
}

ThrowAway::ThrowAway(Context& context, const std::string& what) : context_(context), name_(fmt::format("bench-{}-{}", ::getpid(), what)) {}

ThrowAway::~ThrowAway() {
  if (auto removed = remove(); !removed) {
    context_.note(fmt::format("the sandbox {} stays: {} (locki remove --force {})", name_, removed.error().describe(), name_));
  }
}

Result<json::object> ThrowAway::make() {
  auto made = context_.call("sandbox.new", {{"cwd", context_.cwd}, {"name", name_}});
  // One that failed half-way is there, too; one that was there before is not ours.
  there_ = made || made.error().kind() != ErrorKind::kExists;
  return made;
}

Result<OpenedSandbox> ThrowAway::open() {
  TRY_ASSIGN(opened_, open_sandbox(context_, {.name = name_, .agent = "", .create = false, .from = ""}));
  return opened_->sandbox;
}

Result<> ThrowAway::remove() {
  opened_.reset();
  if (!std::exchange(there_, false)) return {};
  auto removed = context_.call("sandbox.remove", {{"cwd", context_.cwd}, {"name", name_}, {"force", true}, {"delete_branch", true}});
  if (removed || removed.error().kind() == ErrorKind::kNotFound) return {};
  return fail(std::move(removed).error());
}

}  // namespace locki::cli
