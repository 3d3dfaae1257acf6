// locki cp NAME:PATH DEST
#include <fcntl.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/names.h"
#include "cli/opened.h"
#include "cli/session.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

namespace fs = std::filesystem;

// Where the copy goes: DEST, or the file's own name in DEST when that is a directory. The name comes from the user's own words.
Result<fs::path> destination(const Context& context, const std::string& path, const std::string& given) {
  auto target = fs::path(context.cwd) / given;
  std::error_code error;
  if (fs::is_directory(target, error)) {
    const auto name = fs::path(path).filename();
    if (name.empty() || name == "." || name == "..") return fail(ErrorKind::kUsage, "“" + printable(path) + "” names no file");
    target /= name;
  }
  if (fs::exists(fs::symlink_status(target, error))) {
    return fail(ErrorKind::kExists, printable(target.string()) + " is there already", "another name, or remove it first");
  }
  return target;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto source = arguments.value("NAME:PATH");
  const auto colon = source.find(':');
  if (colon == std::string::npos || colon + 1 == source.size()) return fail(ErrorKind::kUsage, "what to copy is written NAME:PATH", "locki cp my-feature:build/report.html .");
  const auto name = source.substr(0, colon), path = source.substr(colon + 1);
  TRY(check_name(name));
  TRY_ASSIGN(const auto target, destination(context, path, arguments.value("DEST")));
  TRY_ASSIGN(auto opened, open_sandbox(context, {.name = name, .agent = "", .create = false, .from = ""}));

  // Beside the target first: an interrupted copy leaves nothing that looks whole. Ordinary permissions, whatever the file had inside.
  const auto part = target.parent_path() / ("." + target.filename().string() + ".locki-" + random_hex(4));
  TRY_ASSIGN(auto file, sys::open_file(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  Context quiet = context;
  quiet.terminal.in = -1;
  quiet.terminal.in_facts = quiet.terminal.out_facts = {};
  quiet.terminal.out = file.get();
  auto status = run_session(quiet, opened.sandbox, {.argv = {"/bin/cat", "--", path}, .directory = ""});
  // link() refuses to replace what has come into being meanwhile; rename() would not.
  const bool copied = status && *status == 0;
  const int linked = copied ? ::link(part.c_str(), target.c_str()) : 0;
  const int error = errno;
  ::unlink(part.c_str());
  if (!status) return fail(std::move(status).error());
  if (*status != 0) return fail(ErrorKind::kFailed, "“" + printable(path) + "” could not be read inside " + name);
  if (linked != 0) return fail_errno(error, "cannot make " + printable(target.string()));
  return 0;
}

}  // namespace

Command cp_command() {
  return {.name = "cp",
          .group = "Work",
          .summary = "copy a file out of a sandbox that the mirror leaves inside",
          .description = "Copies one file: build output and the like, which git ignores and the mirror therefore leaves inside. PATH is as seen inside,\n"
                         "relative to the worktree. What you copy has not passed the mirror's checks.",
          .positionals = {{"NAME:PATH", "the sandbox and the file", true}, {"DEST", "a new file, or a directory", true}},
          .examples = {{"locki cp my-feature:build/report.html .", ""}},
          .inside = true,
          .run = run};
}

}  // namespace locki::cli
