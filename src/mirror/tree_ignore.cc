#include "mirror/tree_ignore.h"

#include <chrono>

#include "base/strings.h"
#include "sys/process.h"

namespace locki::mirror {
namespace {

constexpr int kNoRepository = 128;  // git's die()

std::vector<std::string> common_arguments() {
  // Nothing that git would start or write on the side: the file system monitor is a program of the user's choice, the
  // untracked cache and lazy index refreshes write the index.
  return {"--no-optional-locks",       "-c", "core.fsmonitor=false", "-c",
          "core.untrackedCache=false", "-c", "core.quotePath=false"};
}

std::vector<std::string> with_common(std::vector<std::string> rest) {
  std::vector<std::string> all = common_arguments();
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

template <class Visit>
void each_record(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) return;  // cut short
    visit(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
}

}  // namespace

IgnoreRules::IgnoreRules(std::filesystem::path root, std::string git, std::map<std::string, std::string> environment,
                         std::filesystem::path spare)
    : root_(std::move(root)), git_(std::move(git)), environment_(std::move(environment)), spare_(std::move(spare)) {}

std::vector<std::string> IgnoreRules::list_arguments() {
  return with_common({"ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"});
}

std::vector<std::string> IgnoreRules::check_arguments() { return with_common({"check-ignore", "-z", "--stdin"}); }

Result<> IgnoreRules::make_spare() {
  // HEAD comes last of what git needs to take it for a repository.
  if (std::error_code none; std::filesystem::exists(spare_ / "HEAD", none)) return {};
  sys::ProcessSpec spec{.program = git_,
                        .args = {"init", "--quiet", "--bare", "--template=", spare_.native()},
                        .environment = environment_};
  spec.environment.erase("GIT_DIR");
  spec.environment.erase("GIT_WORK_TREE");
  return sys::run_ok(std::move(spec)).map([](const std::string&) {});
}

Result<std::string> IgnoreRules::git(std::vector<std::string> arguments, const std::string& input,
                                     int accepted_status) {
  sys::ProcessSpec spec{
      .program = git_, .args = std::move(arguments), .environment = environment_, .directory = root_.native()};
  spec.parent_death_signal = SIGKILL;
  const sys::RunLimits limits{.timeout = std::chrono::minutes(5), .max_output = 256 << 20};
  TRY_ASSIGN(sys::Output output, sys::run(spec, input, limits));
  if (output.exit.status == kNoRepository && output.exit.signal == 0 && !spare_.empty()) {
    TRY(make_spare());
    spec.environment["GIT_DIR"] = spare_.native();
    spec.environment["GIT_WORK_TREE"] = root_.native();
    TRY_ASSIGN(output, sys::run(spec, input, limits));
  }
  if (output.exit.signal == 0 && (output.exit.status == 0 || output.exit.status == accepted_status))
    return std::move(output.out);
  return fail(ErrorKind::kFailed,
              "git cannot say what is ignored: it " + output.exit.describe() + ": " + printable(trim(output.err)));
}

Result<std::set<std::string>> IgnoreRules::list() {
  if (git_.empty()) return std::set<std::string>{};
  TRY_ASSIGN(const std::string out, git(list_arguments(), "", 0));
  std::set<std::string> ignored;
  std::vector<std::string> directories;
  each_record(out, [&](std::string_view path) {
    if (path.ends_with('/')) {
      directories.emplace_back(path.substr(0, path.size() - 1));
    } else {
      ignored.emplace(path);
    }
  });
  // A directory is also listed when it merely holds nothing but ignored files now. Only one that a rule names is left
  // out as a whole: in the others something else may appear later.
  TRY_ASSIGN(const std::set<std::string> named, check(directories));
  ignored.insert(named.begin(), named.end());
  return ignored;
}

Result<std::set<std::string>> IgnoreRules::check(const std::vector<std::string>& paths) {
  std::set<std::string> ignored;
  if (git_.empty() || paths.empty()) return ignored;
  std::string input;
  for (const std::string& path : paths) input.append(path).push_back('\0');
  TRY_ASSIGN(const std::string out, git(check_arguments(), input, 1));  // 1: none of them is
  each_record(out, [&](std::string_view path) { ignored.emplace(path); });
  return ignored;
}

}  // namespace locki::mirror
