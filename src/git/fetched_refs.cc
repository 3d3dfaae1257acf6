#include "git/fetched_refs.h"

#include <algorithm>

namespace locki::git {
namespace {

constexpr std::string_view kFetched = "refs/remotes/locki/";
constexpr std::size_t kMaxParts = 16;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

std::string fetched_prefix(std::string_view sandbox) {
  std::string part(sandbox);
  std::replace(part.begin(), part.end(), '/', '+');
  return std::string(kFetched) + part + "/";
}

std::string fetched_short_name(std::string_view sandbox, std::string_view branch) {
  constexpr std::string_view kRemotes = "refs/remotes/";
  return fetched_prefix(sandbox).substr(kRemotes.size()) + std::string(branch);
}

std::optional<std::string> why_not_fetched(std::string_view branch) {
  if (auto why = why_bad_branch(branch)) return why;
  for (const char c : branch) {
    if (!is_alphanumeric(c) && std::string_view("-_.+@#,=/").find(c) == std::string_view::npos)
      return "has a character other than letters, digits and - _ . + @ # , = /";
  }
  if (is_object_id(branch)) return "looks like the id of a commit";
  const auto parts = split(branch, '/');
  if (parts.size() > kMaxParts) return "has more than " + std::to_string(kMaxParts) + " parts";
  for (const std::string& part : parts) {
    const std::string folded = ascii_lower(part);
    if (!is_alphanumeric(part.front()) && part.front() != '_' && part.front() != '@') return "has a part that does not begin with a letter, a digit, _ or @";
    if (folded.back() == '.') return "has a part that ends with '.'";
    if (folded.ends_with(".lock")) return "has a part that ends with '.lock'";
    // Of a remote, that is the ref that its name alone stands for.
    if (folded == "head") return "has a part that means something else to git";
  }
  return std::nullopt;
}

std::map<std::string, std::string> clashes(const std::vector<std::string>& names) {
  std::map<std::string, std::string> found;
  std::map<std::string, std::string> standing;     // folded name -> name
  std::map<std::string, std::string> directories;  // folded directory -> a name in it
  for (const std::string& name : names) {
    const std::string folded = ascii_lower(name);
    const auto same = standing.find(folded);
    const auto beneath = directories.find(folded);
    if (same != standing.end() && same->second == name) continue;
    const std::string* in_the_way = same != standing.end() ? &same->second : beneath != directories.end() ? &beneath->second : nullptr;
    std::vector<std::string> parents;
    for (auto slash = folded.find('/'); slash != std::string::npos; slash = folded.find('/', slash + 1)) parents.push_back(folded.substr(0, slash));
    for (const std::string& parent : parents) {
      if (const auto file = standing.find(parent); file != standing.end()) in_the_way = &file->second;
    }
    if (in_the_way != nullptr) {
      found[name] = *in_the_way;
      continue;
    }
    standing[folded] = name;
    for (std::string& parent : parents) directories.try_emplace(std::move(parent), name);
  }
  return found;
}

Result<> check_no_such_remote(const Repository& repository) {
  TRY_ASSIGN(const std::string remote, repository.config("remote.locki.url"));
  if (remote.empty()) return {};
  return fail(ErrorKind::kConflict, "the repository has a remote called locki, whose branches would be where these go", "git remote rename locki OTHER");
}

Result<std::map<std::string, ObjectId>> refs_beneath(const Repository& repository, std::string_view prefix) {
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"for-each-ref", "--format=%(objectname) %(symref) %(refname)", "--", std::string(prefix)})));
  std::map<std::string, ObjectId> refs;
  for (const std::string& line : split_lines(out)) {
    const auto words = split(line, ' ');
    if (words.size() != 3 || !is_object_id(words[0]) || !words[2].starts_with(prefix)) return fail(ErrorKind::kFailed, "git for-each-ref answered something unexpected");
    if (!words[1].empty()) return fail(ErrorKind::kConflict, "'" + printable(words[2]) + "' is a symbolic ref", "git symbolic-ref --delete " + printable(words[2]));
    refs[words[2]] = words[0];
  }
  return refs;
}

Result<> move_refs(const Repository& repository, const std::vector<RefMove>& moves, std::string_view why) {
  if (moves.empty()) return {};
  std::string input;
  for (const RefMove& move : moves) {
    const std::string none((move.to.empty() ? move.from : move.to).size(), '0');
    const std::string& from = move.from.empty() ? none : move.from;
    // -z: "update SP <ref> NUL <new> NUL <old> NUL" (git-update-ref(1)); one transaction.
    if (move.to.empty()) input += "delete " + move.name + '\0' + from + '\0';
    else input += "update " + move.name + '\0' + move.to + '\0' + from + '\0';
  }
  const auto spec = repository.common_command({"update-ref", "--no-deref", "--create-reflog", "-m", std::string(why), "--stdin", "-z"});
  TRY_ASSIGN(const sys::Output output, sys::run(spec, input, {.timeout = std::chrono::minutes(5)}));
  if (!output.exit.ok()) return fail(ErrorKind::kConflict, "git refuses to move the refs: " + printable(trim(output.err), 1000));
  return {};
}

Result<std::map<std::string, ObjectId>> delete_fetched(const Repository& repository, std::string_view sandbox, const std::optional<std::set<std::string>>& branches, std::string_view why) {
  const std::string prefix = fetched_prefix(sandbox);
  TRY_ASSIGN(const auto refs, refs_beneath(repository, prefix));
  std::vector<RefMove> moves;
  std::map<std::string, ObjectId> deleted;
  for (const auto& [ref, oid] : refs) {
    const std::string branch = ref.substr(prefix.size());
    if (branches && !branches->contains(branch)) continue;
    moves.push_back({ref, "", oid});
    deleted.emplace(branch, oid);
  }
  TRY(move_refs(repository, moves, why));
  return deleted;
}

Result<std::size_t> commits_lost(const Repository& repository, const ObjectId& tip, const std::vector<std::string>& going, std::size_t limit) {
  std::vector<std::string> args{"rev-list", "--count", "--max-count=" + std::to_string(limit), tip, "--not"};
  for (const std::string& pattern : going) args.push_back("--exclude=" + pattern);
  // Of the worktrees' HEADs only the repository's own: the sandbox's goes.
  args.insert(args.end(), {"--single-worktree", "--all", "--"});
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command(std::move(args))));
  const auto count = parse_u64(trim(out));
  if (!count) return fail(ErrorKind::kFailed, "git rev-list answered something unexpected");
  return static_cast<std::size_t>(*count);
}

}  // namespace locki::git
