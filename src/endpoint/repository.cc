#include "endpoint/repository.h"

#include <sys/stat.h>

#include <chrono>
#include <set>

#include "base/strings.h"
#include "mirror/door.h"
#include "mirror/wire.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::endpoint {

namespace wire = mirror::wire;

namespace {

std::string branch_ref(const std::string& branch) { return "refs/heads/" + branch; }

std::filesystem::path behind_file(const std::string& root) { return std::filesystem::path(root) / ".git" / "locki-index-behind"; }

bool is_there(const std::filesystem::path& path) {
  struct stat data {};
  return ::lstat(path.c_str(), &data) == 0;
}

bool names_lock(const Error& error) { return error.message().find(".lock': File exists") != std::string::npos; }

std::string null_oid(const std::string& like) { return std::string(like.size(), '0'); }

sys::ProcessSpec command_in(const RepositoryOptions& options, std::vector<std::string> args) {
  // No hook and no monitor of the agent's runs on our behalf, and nothing is packed in the background while we wait.
  std::vector<std::string> all{"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
                               "-c", "maintenance.auto=false"};
  all.insert(all.end(), std::make_move_iterator(args.begin()), std::make_move_iterator(args.end()));
  return {.program = options.git,
          .args = std::move(all),
          .environment = Repository::environment(),
          .directory = options.root,
          .parent_death_signal = SIGTERM};  // it takes its locks away
}

}  // namespace

Repository::Repository(RepositoryOptions options)
    : options_(std::move(options)),
      locks_(options_.root + "/.git", {"index.lock", "HEAD.lock", branch_ref(options_.branch) + ".lock"}, options_.dead_lock_after),
      // By value: a repository is moved to where it stays.
      mover_([options = options_](std::vector<std::string> args) { return command_in(options, std::move(args)); }, options_.root + "/.git", options_.branch) {}

std::map<std::string, std::string> Repository::environment() {
  std::map<std::string, std::string> environment = sys::clean_environment();
  environment["GIT_TERMINAL_PROMPT"] = "0";
  environment["GIT_CONFIG_NOSYSTEM"] = "1";
  environment["GIT_CONFIG_GLOBAL"] = "/dev/null";
  // The worktree may belong to another user of the container than the one we run as.
  environment["GIT_CONFIG_COUNT"] = "1";
  environment["GIT_CONFIG_KEY_0"] = "safe.directory";
  environment["GIT_CONFIG_VALUE_0"] = "*";
  return environment;
}

sys::ProcessSpec Repository::command(std::vector<std::string> args) const { return command_in(options_, std::move(args)); }

Result<std::string> Repository::git(std::vector<std::string> args, std::string_view input) const {
  return sys::run_ok(command(std::move(args)), input, {.timeout = std::chrono::minutes(10)});
}

bool Repository::unfinished() const { return is_there(options_.root + "/.git/locki-unfinished"); }

bool Repository::exists() const { return is_there(options_.root + "/.git"); }

Result<> Repository::make(bool again) const {
  if (exists() && !again) return {};
  TRY(git({"init", "--quiet", "--template=", "--object-format=" + options_.object_format,
           "--initial-branch=" + options_.branch}));
  TRY(git({"config", "remote.origin.url", "locki::host"}));
  TRY(git({"config", "push.default", "current"}));
  if (!options_.user_name.empty()) TRY(git({"config", "user.name", options_.user_name}));
  if (!options_.user_email.empty()) TRY(git({"config", "user.email", options_.user_email}));
  return {};
}

Result<HeadInfo> Repository::head() const {
  HeadInfo info;
  if (!exists()) return info;
  TRY_ASSIGN(const std::string refs, git({"for-each-ref", "--format=%(objectname) %(refname)"}));
  for (const std::string& line : split_lines(refs)) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    if (line.substr(space + 1) == branch_ref(options_.branch)) {
      info.oid = line.substr(0, space);
    } else {
      ++info.other_refs;
    }
  }
  TRY_ASSIGN(const sys::Output named, sys::run(command({"symbolic-ref", "--quiet", "HEAD"})));
  info.current = trim(named.out);
  if (constexpr std::string_view kHeads = "refs/heads/"; info.current.starts_with(kHeads))
    info.current.erase(0, kHeads.size());
  if (!named.exit.ok()) {
    TRY_ASSIGN(const sys::Output detached, sys::run(command({"rev-parse", "--quiet", "--verify", "HEAD"})));
    info.current = trim(detached.out);
  }
  return info;
}

Result<Repository::Branches> Repository::other_branches() const {
  Branches found;
  if (!exists()) return found;
  TRY_ASSIGN(const std::string refs, git({"for-each-ref", "--format=%(objecttype) %(objectname) %(refname:lstrip=2)", "refs/heads/"}));
  for (const std::string& line : split_lines(refs)) {
    const auto words = split(line, ' ');
    // A branch that is no commit is broken.
    if (words.size() != 3 || words[0] != "commit" || words[2] == options_.branch) continue;
    if (found.branches.size() == wire::kMaxBranches || words[2].size() > wire::kMaxName || !mirror::is_object_id(words[1])) {
      ++found.more;
    } else {
      found.branches.push_back({words[2], words[1]});
    }
  }
  TRY_ASSIGN(const std::string stashes, git({"stash", "list", "--format=%h"}));
  found.stashes = static_cast<std::uint32_t>(split_lines(stashes).size());
  return found;
}

Result<PackProcess> Repository::start_pack(const std::vector<std::string>& wants, const std::vector<std::string>& haves) const {
  const std::set<std::string> wanted(wants.begin(), wants.end());
  std::string query;
  for (const auto* oids : {&wants, &haves}) {
    for (const std::string& oid : *oids) {
      if (!mirror::is_object_id(oid)) return fail(ErrorKind::kProtocol, "not an object id");
      query += oid + "\n";
    }
  }
  // pack-objects dies on a revision it does not have; the host may know commits that never came here.
  TRY_ASSIGN(const std::string known, git({"cat-file", "--batch-check=%(objectname) %(objecttype)"}, query));
  std::string revisions;
  std::set<std::string> found;
  for (const std::string& line : split_lines(known)) {
    const std::size_t space = line.find(' ');
    if (line.substr(space + 1) != "commit") continue;
    const std::string oid = line.substr(0, space);
    const bool want = wanted.contains(oid);
    if (want && !found.insert(oid).second) continue;
    revisions += (want ? "" : "^") + oid + "\n";
  }
  for (const std::string& want : wanted) {
    if (!found.contains(want)) return fail(ErrorKind::kNotFound, "there is no such commit: " + want);
  }
  if (wanted.empty()) return fail(ErrorKind::kProtocol, "a request for nothing");
  TRY_ASSIGN(sys::Pipe in, sys::make_pipe());
  TRY_ASSIGN(sys::Pipe out, sys::make_pipe());
  sys::ProcessSpec spec = command({"pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "--quiet"});
  sys::Fd words = sys::make_words();
  spec.in = in.read.get();
  spec.out = out.write.get();
  spec.err = words.get();
  TRY_ASSIGN(sys::Child child, sys::spawn(spec));
  in.read.reset();
  // A few thousand ids: pack-objects reads them all before it writes.
  TRY(sys::write_all(in.write.get(), revisions));
  TRY(sys::set_nonblocking(out.read.get(), true));
  return PackProcess{std::move(child), std::move(out.read), std::move(words)};
}

Result<PackProcess> Repository::start_unpack() const {
  TRY_ASSIGN(sys::Pipe in, sys::make_pipe());
  sys::ProcessSpec spec = command({"index-pack", "--stdin", "--fix-thin"});
  sys::Fd words = sys::make_words();
  spec.in = in.read.get();
  spec.err = words.get();
  TRY_ASSIGN(sys::Child child, sys::spawn(spec));
  return PackProcess{std::move(child), std::move(in.write), std::move(words)};
}

Result<> Repository::move_branch(const std::string& new_oid, const std::string& old_oid) {
  if (!mirror::is_object_id(new_oid) || (!old_oid.empty() && !mirror::is_object_id(old_oid)))
    return fail(ErrorKind::kProtocol, "not an object id");
  const std::string expected = old_oid.empty() ? null_oid(new_oid) : old_oid;
  const auto move = [&] { return git({"update-ref", "-m", "locki: from the host", branch_ref(options_.branch), new_oid, expected}); };
  auto moved = move();
  if (!moved && locks_.clear(moved.error().message())) moved = move();
  if (moved) return {};
  const auto now = head();
  if (now && now->oid == new_oid) return {};
  if (now && now->oid != old_oid) return fail(ErrorKind::kConflict, "the branch moved meanwhile");
  if (names_lock(moved.error())) return fail(ErrorKind::kUnavailable, moved.error().message());
  return fail(std::move(moved).error());
}

Result<std::string> Repository::move(const std::string& new_oid, const std::string& old_oid) {
  // The index may still be where the branch was before.
  const auto before = noted();
  const std::string index_at = before && before->to == old_oid ? before->from : old_oid;
  const mirror::BranchMove::Hooks hooks{.note = [&] { return note_behind({new_oid, index_at}); },
                                        .move = [&]() -> Result<> {
                                          TRY(move_branch(new_oid, old_oid));
                                          sys::fault_point("far.moved");
                                          return {};
                                        }};
  auto moved = mover_.move(index_at, new_oid, hooks);
  if (!moved && locks_.clear(moved.error().message())) moved = mover_.move(index_at, new_oid, hooks);
  if (!moved) {
    if (before) TRY(note_behind(*before));
    else caught_up();
    return fail(std::move(moved).error());
  }
  if (!moved->behind) caught_up();
  return moved->lost;
}

Result<> Repository::begin(const std::string& oid) {
  TRY(note_behind({oid, ""}));
  TRY(move_branch(oid, ""));
  TRY(check_out(oid));
  caught_up();
  return {};
}

Result<> Repository::note_behind(const Behind& behind) const {
  return sys::write_file(behind_file(options_.root), behind.to + " " + behind.from + "\n", 0600);
}

std::optional<Repository::Behind> Repository::noted() const {
  const auto text = sys::read_file(behind_file(options_.root), 1024);
  if (!text) return std::nullopt;
  const auto words = split(trim(*text), ' ');
  const bool sound = words.size() <= 2 && mirror::is_object_id(words[0]) && (words.size() < 2 || mirror::is_object_id(words[1]));
  return sound ? Behind{words[0], words.size() < 2 ? "" : words[1]} : Behind{};
}

bool Repository::behind() const { return is_there(behind_file(options_.root)); }

void Repository::caught_up() const { (void)sys::remove_tree(behind_file(options_.root)); }

void Repository::take_over() {
  if (!exists()) return;
  const auto left = noted();
  const auto now = head();
  mover_.take_over(left && now && left->to == now->oid);
}

Result<std::string> Repository::take_up_behind() {
  const auto left = noted();
  if (!left) return std::string();
  TRY_ASSIGN(const HeadInfo now, head());
  // Else the branch did not move after all, or somebody has moved it since.
  if (left->to.empty() || left->to != now.oid) return caught_up(), std::string();
  auto followed = mover_.follow(left->from, left->to);
  if (!followed && locks_.clear(followed.error().message())) followed = mover_.follow(left->from, left->to);
  if (!followed) return fail(std::move(followed).error());
  if (!followed->behind) caught_up();
  return followed->lost;
}

Result<bool> Repository::is_ancestor(const std::string& commit, const std::string& of) const {
  TRY_ASSIGN(const sys::Output answer, sys::run(command({"merge-base", "--is-ancestor", commit, of})));
  if (answer.exit.ok()) return true;
  if (answer.exit.status == 1 && answer.exit.signal == 0) return false;
  return fail(ErrorKind::kFailed, "git cannot compare two commits: " + std::string(trim(answer.err)));
}

Result<> Repository::check_out(const std::string& oid) {
  TRY(git({"read-tree", "--reset", "-u", oid}));
  return {};
}

std::string remote_helper_script() {
  // A connection whose first packet is an error: git prints that one line, and nothing of its own about a helper that broke off.
  return "#!/bin/sh\n"
         "while read -r request; do\n"
         "  case \"$request\" in\n"
         "  capabilities) printf 'connect\\n\\n' ;;\n"
         "  connect*)\n"
         "    error=\"ERR locki: commits arrive on the host's branch by themselves; push from the host\"\n"
         "    printf '\\n%04x%s' $((${#error} + 4)) \"$error\"\n"
         "    exit 0 ;;\n"
         "  *) exit 1 ;;\n"
         "  esac\n"
         "done\n";
}

std::string gh_script() {
  return "#!/bin/sh\n"
         "[ -x /usr/bin/gh ] && exec /usr/bin/gh \"$@\"\n"
         "echo \"locki: there are no credentials here; commits arrive on the host's branch by themselves, open pull requests from the host\" >&2\n"
         "exit 1\n";
}

}  // namespace locki::endpoint
