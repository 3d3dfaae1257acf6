// locki diff [NAME]: what the sandbox's branch and worktree changed, from the commit that the branch began at.
#include <csignal>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/text.h"
#include "git/filters.h"
#include "git/repository.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

struct Compared {
  git::Repository repository;
  std::string base;
};

Result<Compared> compared(const Context& context, const json::object& sandbox) {
  TRY_ASSIGN(const auto worktree, json::get_string(sandbox, "worktree"));
  TRY_ASSIGN(auto program, git::find_git(context.paths.home));
  TRY_ASSIGN(auto repository, git::Repository::discover(program, worktree));
  auto base = json::string_or(sandbox, "base");
  if (!git::is_object_id(base)) {
    // Where the branch left the repository's own one.
    TRY_ASSIGN(const auto main, git::Repository::discover(program, json::string_or(sandbox, "repo")));
    TRY_ASSIGN(const auto head, main.resolve("HEAD"));
    TRY_ASSIGN(const auto found, sys::run_ok(repository.command({"merge-base", head, "HEAD"})));
    base = std::string(trim(found));
  }
  return Compared{std::move(repository), std::move(base)};
}

// New files count, too: an index of our own, a copy of the worktree's, learns their names (nothing is added to the repository).
Result<sys::TemporaryDirectory> index_with_new_files(const Compared& what, sys::ProcessSpec& diff) {
  TRY_ASSIGN(auto directory, sys::TemporaryDirectory::make(std::filesystem::temp_directory_path(), "locki-diff"));
  const auto index = directory.path() / "index";
  TRY_ASSIGN(const auto content, sys::read_file(what.repository.git_dir() / "index", 1U << 30));
  TRY(sys::write_file(index, content, 0600));
  auto add = what.repository.command({"add", "--intent-to-add", "--", "."});
  TRY(git::disable_filters(what.repository, add));
  add.environment["GIT_INDEX_FILE"] = index;
  TRY(sys::run_ok(add, {}, {.timeout = std::chrono::minutes(5)}));
  diff.environment["GIT_INDEX_FILE"] = index;
  return directory;
}

// For the eye: control bytes are shown, never sent, so that the text cannot repaint what was shown before it.
std::string shown(std::string_view line, const term::Style& style) {
  const auto text = visible_line(line);
  if (line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ")) return style.bold(text);
  if (line.starts_with('+')) return style.green(text);
  if (line.starts_with('-')) return style.red(text);
  if (line.starts_with("@@")) return style.cyan(text);
  return text;
}

Result<> show(int from, int to, const term::Style& style) {
  std::string rest, out;
  std::vector<std::uint8_t> buffer(64 << 10);
  for (;;) {
    TRY_ASSIGN(const auto n, sys::read_some(from, buffer.data(), buffer.size()));
    rest.append(reinterpret_cast<const char*>(buffer.data()), n);
    out.clear();
    std::size_t at = 0;
    // A line that does not end is shown in pieces.
    for (std::size_t end = 0; (end = rest.find('\n', at)) != std::string::npos || rest.size() - at > (1U << 20) || (n == 0 && at < rest.size()); at = end + 1) {
      if (end == std::string::npos) end = rest.size();
      out += shown(std::string_view(rest).substr(at, end - at), style) + "\n";
      if (end == rest.size()) {
        at = end;
        break;
      }
    }
    rest.erase(0, at);
    if (!sys::write_all(to, out)) return {};  // the pager was left
    if (n == 0) return {};
  }
}

struct Pager {
  sys::Child child;
  sys::Fd input;
};
// `less`, able to colour and to do nothing else: no shell, no editor, no other files, no lesskey, no preprocessor.
Result<Pager> start_pager(const Context& context) {
  TRY_ASSIGN(const auto less, sys::find_program("less"));
  TRY_ASSIGN(auto pipe, sys::make_pipe());
  sys::ProcessSpec spec{.program = less, .args = {"-F", "-R", "-X"}, .environment = sys::clean_environment()};
  spec.environment["LESSSECURE"] = "1";
  spec.environment["LESSHISTFILE"] = "-";
  spec.environment["LESSKEYIN"] = spec.environment["LESSKEY_SYSTEM"] = "/dev/null";
  const auto term = context.environment.find("TERM");
  spec.environment["TERM"] = term == context.environment.end() ? "dumb" : term->second;
  spec.in = pipe.read.get();
  spec.out = context.terminal.out;
  spec.err = context.terminal.err;
  TRY_ASSIGN(auto child, sys::spawn(spec));
  return Pager{std::move(child), std::move(pipe.write)};
}

Result<int> print(Context& context, sys::ProcessSpec diff) {
  if (context.clear_progress) context.clear_progress();
  diff.err = context.terminal.err;
  if (!context.terminal.out_facts.terminal) {
    diff.out = context.terminal.out;  // byte-exact: `git apply` can read it
    TRY_ASSIGN(auto child, sys::spawn(diff));
    TRY_ASSIGN(const auto exit, child.wait());
    if (!exit.ok() && exit.signal != SIGPIPE) return fail(ErrorKind::kFailed, "git diff " + exit.describe());
    return 0;
  }
  TRY_ASSIGN(auto pipe, sys::make_pipe());
  diff.out = pipe.write.get();
  TRY_ASSIGN(auto child, sys::spawn(diff));
  pipe.write.reset();
  auto pager = start_pager(context);
  const auto shown_well = show(pipe.read.get(), pager ? pager->input.get() : context.terminal.out, context.out_style());
  pipe.read.reset();
  if (pager) {
    pager->input.reset();
    TRY(pager->child.wait());
  }
  TRY(shown_well);
  TRY_ASSIGN(const auto exit, child.wait());
  if (!exit.ok() && exit.signal != SIGPIPE) return fail(ErrorKind::kFailed, "git diff " + exit.describe());
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto daemon, context.services.connect());
  TRY_ASSIGN(const auto name, which_sandbox(context, *daemon, arguments.value("NAME")));
  TRY_ASSIGN(const auto reply, daemon->call("sandbox.list", {{"cwd", context.cwd}, {"all", false}}, context.progress));
  TRY_ASSIGN(const auto sandbox, find_sandbox(reply.result, name));
  TRY_ASSIGN(const auto what, locki::context(compared(context, sandbox), "while looking at the worktree of " + printable(name)));
  auto diff = what.repository.command({"diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--no-color", "--find-renames"});
  // Our own switching off of grafts would be commented on, on the user's terminal.
  diff.args.insert(diff.args.begin(), {"-c", "advice.graftFileDeprecated=false"});
  if (arguments.flag("stat")) diff.args.emplace_back("--stat");
  if (arguments.flag("name-only")) diff.args.emplace_back("--name-status");
  diff.args.insert(diff.args.end(), {what.base, "--"});
  TRY(git::disable_filters(what.repository, diff));
  auto index = index_with_new_files(what, diff);
  if (!index) context.note("new files are not shown: " + printable(index.error().describe()));
  TRY_ASSIGN(const int status, print(context, std::move(diff)));
  if (const auto* mirror = json::object_or_null(sandbox, "mirror")) {
    if (const auto held = json::int_or(*mirror, "held"); held > 0) {
      context.note(counted(held, "file") + " held at the door, not in this worktree: locki review " + printable(name));
    }
  }
  return status;
}

}  // namespace

Command diff_command() {
  return {.name = "diff",
          .group = "Work",
          .summary = "what a sandbox changed since it began",
          .description = "Shows everything that the sandbox's branch and worktree changed since the branch began, committed or not, new files too.\n"
                         "Programs that a repository's files could name are not run. On a terminal, control bytes are shown, not sent.",
          .positionals = {name_positional()},
          .options = {{"--stat", "", "numbers only"}, {"--name-only", "", "names and kinds of change only"}},
          .examples = {{"locki diff my-feature", ""}, {"locki diff my-feature > my.patch", "as a patch"}},
          .run = run};
}

}  // namespace locki::cli
