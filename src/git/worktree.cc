#include "git/worktree.h"

#include <algorithm>

#include "git/fetched_refs.h"
#include "git/filters.h"
#include "sys/file.h"

namespace locki::git {
namespace {

constexpr std::string_view kHeads = "refs/heads/";

std::string head_ref(std::string_view branch) { return std::string(kHeads) + std::string(branch); }

Result<> check_addable(const Repository& repository, const AddWorktree& add) {
  if (const auto why = why_bad_branch(add.branch)) {
    return fail(ErrorKind::kUsage, "'" + printable(add.branch) + "' cannot be a branch: it " + *why);
  }
  if (!add.path.is_absolute()) return fail(ErrorKind::kUsage, "the worktree's path must be absolute");
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(add.path, ignored)) && !fs::is_empty(add.path, ignored)) {
    return fail(ErrorKind::kExists, "'" + add.path.string() + "' exists already");
  }
  TRY_ASSIGN(const auto worktrees, list_worktrees(repository));
  for (const WorktreeInfo& worktree : worktrees) {
    if (worktree.branch == add.branch && !worktree.prunable) {
      return fail(ErrorKind::kExists, "the branch '" + add.branch + "' is checked out in '" + worktree.path.string() + "'",
                  "choose another name, or switch that worktree to another branch");
    }
  }
  return {};
}

}  // namespace

Result<> add_worktree(const Repository& repository, const AddWorktree& add) {
  TRY(prune_worktrees(repository));
  TRY(check_addable(repository, add));
  TRY_ASSIGN(const auto existing, repository.ref(head_ref(add.branch)));
  ObjectId start;
  if (!existing) {
    TRY_ASSIGN(start, add.from.empty() ? repository.default_base() : repository.resolve(add.from));
  }
  std::vector<std::string> args{"worktree", "add", "--quiet", "--no-guess-remote"};
  if (existing) {
    args.insert(args.end(), {"--", add.path.string(), add.branch});
  } else {
    args.insert(args.end(), {"--no-track", "-b", add.branch, "--", add.path.string(), start});
  }
  auto spec = repository.common_command(std::move(args));
  TRY(disable_filters(repository, spec));
  TRY(sys::make_directories(add.path.parent_path()));
  auto added = sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(30)});
  if (added) return {};
  // Leave nothing behind: not the directory, not the branch that this call made.
  (void)remove_worktree(repository, add.path);
  if (!existing) (void)delete_branch(repository, add.branch, start);
  return fail(std::move(added).error().with_context("while adding the worktree '" + add.path.string() + "'"));
}

Result<std::vector<WorktreeInfo>> list_worktrees(const Repository& repository) {
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"worktree", "list", "--porcelain", "-z"})));
  std::vector<WorktreeInfo> worktrees;
  for (const std::string& line : split(out, '\0')) {
    const auto space = line.find(' ');
    const std::string key = line.substr(0, space);
    const std::string value = space == std::string::npos ? "" : line.substr(space + 1);
    if (key == "worktree") {
      worktrees.emplace_back().path = value;
    } else if (worktrees.empty()) {
      continue;
    } else if (key == "HEAD" && value.find_first_not_of('0') != std::string::npos) {
      worktrees.back().head = value;
    } else if (key == "branch" && value.starts_with(kHeads)) {
      worktrees.back().branch = value.substr(kHeads.size());
    } else if (key == "prunable") {
      worktrees.back().prunable = true;
    }
  }
  return worktrees;
}

Result<> remove_worktree(const Repository& repository, const fs::path& path) {
  TRY_ASSIGN(const auto worktrees, list_worktrees(repository));
  // The first one is the repository's own: git refuses to remove it, and so must remove_tree().
  const bool main_one = !worktrees.empty() && worktrees.front().path == path;
  if (main_one) return fail(ErrorKind::kUsage, "'" + path.string() + "' is the repository itself, not one of its worktrees");
  const bool known = std::any_of(worktrees.begin(), worktrees.end(), [&](const auto& worktree) { return worktree.path == path; });
  if (known) {
    // Twice --force: also when it is locked.
    auto removed = sys::run_ok(repository.common_command({"worktree", "remove", "--force", "--force", "--", path.string()}), {},
                               {.timeout = std::chrono::minutes(10)});
    if (!removed) (void)removed;  // half-made ones have no .git file: what follows deals with them
  }
  TRY(sys::remove_tree(path));
  return prune_worktrees(repository);
}

Result<> prune_worktrees(const Repository& repository) {
  TRY(sys::run_ok(repository.common_command({"worktree", "prune", "--expire=now"})));
  return {};
}

Result<bool> is_dirty(const Repository& repository, const fs::path& worktree) {
  TRY_ASSIGN(const auto switches, filter_switches(repository));
  return is_dirty(repository, worktree, switches);
}

Result<bool> is_dirty(const Repository& repository, const fs::path& worktree, const std::map<std::string, std::string>& filter_switches) {
  auto spec = git::command(repository.program(), Config::kUser, worktree,
                           {"status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=all", "--no-renames"});
  for (const auto& [key, value] : filter_switches) spec.environment[key] = value;
  TRY_ASSIGN(const std::string out, sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}));
  return !out.empty();
}

Result<std::vector<std::string>> unmerged_commits(const Repository& repository, std::string_view branch, std::size_t limit) {
  const std::string name(branch);
  TRY_ASSIGN(const auto tip, repository.ref(head_ref(branch)));
  if (!tip) return std::vector<std::string>{};
  TRY_ASSIGN(const std::string out,
             sys::run_ok(repository.common_command({"log", "--no-show-signature", "--no-color", "--no-decorate", "--format=%h %s",
                                                    "--max-count=" + std::to_string(limit), *tip, "--not", "--exclude=" + name, "--branches",
                                                    // What was fetched from this sandbox goes with it.
                                                    "--exclude=" + fetched_short_name(name, "*"), "--remotes", "--tags", "--"})));
  std::vector<std::string> commits = split_lines(out);
  for (std::string& commit : commits) commit = printable(commit, 120);
  return commits;
}

Result<> delete_branch(const Repository& repository, std::string_view branch, const ObjectId& expected) {
  TRY(sys::run_ok(repository.common_command({"update-ref", "--no-deref", "-d", head_ref(branch), expected})));
  // What `git branch -D` also forgets; absent is fine.
  (void)sys::run(repository.common_command({"config", "--local", "--remove-section", "branch." + std::string(branch)}));
  return {};
}

}  // namespace locki::git
