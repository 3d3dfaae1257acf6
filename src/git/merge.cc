#include "git/merge.h"

#include <array>

#include "base/path_rules.h"
#include "git/objects.h"

namespace locki::git {
namespace {

// What git itself looks at (wt-status.c, wt_status_get_state).
struct Operation {
  const char* file;
  const char* name;
};
constexpr std::array<Operation, 6> kOperations{{{"MERGE_HEAD", "a merge"},
                                                {"rebase-merge", "a rebase"},
                                                {"rebase-apply", "a rebase"},
                                                {"CHERRY_PICK_HEAD", "a cherry-pick"},
                                                {"REVERT_HEAD", "a revert"},
                                                {"BISECT_LOG", "a bisection"}}};

// Identity, and what gpg or ssh need to sign and to ask for a passphrase.
constexpr const char* kKept[] = {"HOME",           "XDG_CONFIG_HOME",    "GNUPGHOME",       "GPG_TTY",         "SSH_AUTH_SOCK",       "DISPLAY",           "WAYLAND_DISPLAY",
                                 "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TERM",     "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL",    "GIT_AUTHOR_DATE",   "GIT_COMMITTER_NAME",
                                 "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE", "EMAIL"};

// Nothing here takes away what the user configured for merging; only what would run the worktree's files, wait for a person, or go to the network.
constexpr const char* kOverrides[] = {
    "core.hooksPath=/dev/null", "core.fsmonitor=false",   "core.quotePath=true", "core.editor=false",
    "submodule.recurse=false",  "protocol.allow=never",   "gc.auto=0",           "maintenance.auto=false",
};

}  // namespace

Result<std::optional<std::string>> why_not_mergeable(const Repository& checkout) {
  if (checkout.is_bare()) return std::optional<std::string>("it is a bare repository");
  std::error_code ignored;
  for (const Operation& operation : kOperations)
    if (fs::exists(fs::symlink_status(checkout.git_dir() / operation.file, ignored))) return std::optional<std::string>(std::string(operation.name) + " is under way");
  // The user's own filters decide here what is changed: this is the user's own checkout.
  TRY_ASSIGN(const std::string out, sys::run_ok(checkout.command({"status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"}), {},
                                                {.timeout = std::chrono::minutes(10)}));
  if (out.empty()) return std::optional<std::string>();
  return std::optional<std::string>("there are uncommitted changes, as in " + printable(out.substr(3, out.find('\0') - 3), 200));
}

sys::ProcessSpec merge_command(const Repository& checkout, const Merge& merge, const std::map<std::string, std::string>& environment) {
  sys::ProcessSpec spec{.program = checkout.program().git, .environment = sys::clean_environment()};
  spec.args = {"--no-pager", "--no-replace-objects", "-C", checkout.toplevel().string()};
  for (const char* override : kOverrides) spec.args.insert(spec.args.end(), {"-c", override});
  spec.args.emplace_back("merge");
  if (merge.squash) {
    spec.args.emplace_back("--squash");
  } else {
    if (merge.no_ff) spec.args.emplace_back("--no-ff");
    spec.args.insert(spec.args.end(), {"--no-edit", "-m", merge.message});
  }
  spec.args.insert(spec.args.end(), {"--", merge.tip});
  for (const char* name : kKept)
    if (const auto found = environment.find(name); found != environment.end()) spec.environment[name] = found->second;
  if (!checkout.program().home.empty()) spec.environment["HOME"] = checkout.program().home;
  spec.environment["GIT_TERMINAL_PROMPT"] = "0";
  spec.environment["GIT_GRAFT_FILE"] = "/dev/null";
  spec.environment["GIT_NO_LAZY_FETCH"] = "1";
  spec.environment["GIT_MERGE_AUTOEDIT"] = "no";
  return spec;
}

Result<bool> brings_attributes(const Repository& checkout, const ObjectId& head, const ObjectId& tip) {
  TRY_ASSIGN(const auto bases, checkout.merge_bases(head, tip));
  for (const ObjectId& base : bases) {
    TRY_ASSIGN(const std::string out, sys::run_ok(checkout.common_command({"diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tip}), {},
                                                  {.timeout = std::chrono::minutes(10), .max_output = 512 << 20}));
    TRY_ASSIGN(const auto changes, parse_raw_changes(out));
    for (const RawChange& change : changes)
      if (path_rules::fold(std::string_view(change.path).substr(change.path.rfind('/') + 1)) == ".gitattributes") return true;
  }
  return bases.empty();
}

}  // namespace locki::git
