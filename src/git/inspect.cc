#include "git/inspect.h"

#include <algorithm>

#include "base/path_rules.h"
#include "git/objects.h"
#include "git/unfold.h"

namespace locki::git {
namespace {

constexpr std::size_t kMaxListing = 512 << 20;
constexpr std::uint64_t kMaxTree = 64 << 20;

tl::unexpected<Error> refuse(std::string why) { return fail(ErrorKind::kProtocol, std::move(why)); }

std::string lines_of(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += item + "\n";
  return out;
}

}  // namespace

Result<std::string> Inspector::run(std::vector<std::string> args, std::string_view input, std::size_t max_output,
                                   const char* what) const {
  const auto spec = command_(std::move(args));
  auto output = sys::run(spec, input, {.timeout = limits_.timeout, .max_output = max_output});
  if (!output) {
    if (output.error().kind() == ErrorKind::kNoSpace || output.error().kind() == ErrorKind::kTimeout) {
      return refuse(std::string(what) + ": there is more of it than a worktree may have");
    }
    return fail(std::move(output).error());
  }
  if (!output->exit.ok()) return refuse(std::string(what) + ": " + printable(trim(output->err)));
  return std::move(output->out);
}

Result<> check_change(std::string_view mode, std::string_view path) {
  const std::string shown = "'" + printable(path) + "'";
  if (mode == "160000") return refuse(shown + " is a submodule that the branch did not have");
  if (mode != "100644" && mode != "100755" && mode != "120000")
    return refuse(shown + " has the mode " + printable(mode, 10));
  if (const auto why = path_rules::why_bad_path(path)) return refuse(shown + " has " + std::string(*why));
  return {};
}

Result<> Inspector::check_tips(const std::vector<ObjectId>& tips) const {
  TRY_ASSIGN(const std::string out, run({"cat-file", "--batch-check=%(objecttype)"}, lines_of(tips), tips.size() * 128, "the new tip"));
  const auto types = split_lines(out);
  const bool commits = types.size() == tips.size() && std::all_of(types.begin(), types.end(), [](const std::string& type) { return type == "commit"; });
  return commits ? Result<>() : refuse("the new tip is not a commit");
}

Result<std::vector<std::string>> Inspector::new_commits(const std::vector<std::string>& range) const {
  std::vector<std::string> args{"rev-list", "--max-count=" + std::to_string(limits_.max_commits + 1)};
  args.insert(args.end(), range.begin(), range.end());
  TRY_ASSIGN(const std::string out, run(std::move(args), {}, (limits_.max_commits + 2) * 66, "the new commits"));
  auto commits = split_lines(out);
  if (commits.size() > limits_.max_commits)
    return refuse("more than " + std::to_string(limits_.max_commits) + " new commits");
  return commits;
}

Result<std::vector<ObjectId>> Inspector::check_connected(const std::vector<std::string>& range) const {
  std::vector<std::string> args{"rev-list", "--objects", "--no-object-names"};
  args.insert(args.end(), range.begin(), range.end());
  TRY_ASSIGN(const std::string objects, run(std::move(args), {}, (limits_.max_objects + 1) * 65, "the new objects"));
  TRY_ASSIGN(const std::string described, run({"cat-file", "--batch-check=%(objecttype) %(objectsize)"}, objects,
                                              (limits_.max_objects + 1) * 40, "the new objects"));
  const auto ids = split_lines(objects);
  const auto lines = split_lines(described);
  if (ids.size() > limits_.max_objects)
    return refuse("more than " + std::to_string(limits_.max_objects) + " new objects");
  if (ids.size() != lines.size()) return refuse("git cat-file ended early");
  std::vector<ObjectId> trees;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto words = split(lines[i], ' ');
    const auto size = words.size() == 2 ? parse_u64(words[1]) : std::nullopt;
    if (!size) return refuse("an object is missing");
    const std::string& type = words[0];
    if (type != "blob" && type != "tree" && type != "commit")
      return refuse("an object of the unexpected type " + printable(type, 20));
    const std::uint64_t most = type == "blob" ? limits_.max_file : type == "tree" ? kMaxTree : limits_.max_message;
    if (*size > most) return refuse("a " + type + " of " + human_bytes(*size));
    if (type == "tree") trees.push_back(ids[i]);
  }
  return trees;
}

Result<> Inspector::check_sizes(const std::vector<ObjectId>& trees) const {
  if (trees.empty()) return {};
  const std::size_t id_bytes = trees.front().size() / 2;
  Unfolder unfolder(
      [&](const std::vector<ObjectId>& ids) -> Result<std::vector<RawTree>> {
        TRY_ASSIGN(const std::string out, run({"cat-file", "--batch"}, lines_of(ids), kMaxListing, "the trees"));
        BatchReader reader(out);
        std::vector<RawTree> parsed;
        for (std::size_t i = 0; i < ids.size(); ++i) {
          TRY_ASSIGN(const std::string_view raw, reader.next("tree"));
          TRY_ASSIGN(parsed.emplace_back(), parse_tree(raw, id_bytes));
        }
        return parsed;
      },
      {.paths = limits_.max_paths, .depth = path_rules::kMaxDepth, .trees = limits_.max_objects});
  return unfolder.check(trees);
}

// Headers and messages end up on screens: `git log` passes what it finds.
Result<> Inspector::check_commits(const std::vector<std::string>& commits) const {
  constexpr std::size_t kAtOnce = 64;
  for (std::size_t start = 0; start < commits.size(); start += kAtOnce) {
    const std::vector<std::string> some(
        commits.begin() + static_cast<std::ptrdiff_t>(start),
        commits.begin() + static_cast<std::ptrdiff_t>(std::min(commits.size(), start + kAtOnce)));
    TRY_ASSIGN(const std::string out,
               run({"cat-file", "--batch"}, lines_of(some), kAtOnce * (limits_.max_message + 256), "the new commits"));
    BatchReader reader(out);
    for (const std::string& commit : some) {
      TRY_ASSIGN(const std::string_view bytes, reader.next("commit"));
      const bool controls = std::any_of(bytes.begin(), bytes.end(), [](char raw) {
        const auto c = static_cast<unsigned char>(raw);
        return (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
      });
      if (controls)
        return refuse("the commit " + commit.substr(0, 12) + " has control characters in its author or message");
    }
  }
  return {};
}

Result<> Inspector::check_paths(const std::vector<std::string>& commits) const {
  if (commits.empty()) return {};
  TRY_ASSIGN(const std::string out, run({"diff-tree", "--stdin", "-r", "-z", "--raw", "--root", "--no-renames",
                                         "--no-abbrev", "--no-commit-id", "--diff-merges=first-parent"},
                                        lines_of(commits), kMaxListing, "the changed paths"));
  std::vector<std::pair<std::string, std::string>> symlinks;  // path, blob
  TRY_ASSIGN(const auto changes, parse_raw_changes(out));
  for (const RawChange& change : changes) {
    if (change.new_mode == "000000") continue;  // deleted
    TRY(check_change(change.new_mode, change.path));
    if (change.new_mode == "120000") symlinks.emplace_back(change.path, change.new_id);
  }
  return check_targets(symlinks);
}

Result<> Inspector::check_targets(const std::vector<std::pair<std::string, std::string>>& symlinks) const {
  if (symlinks.empty()) return {};
  std::vector<std::string> blobs;
  for (const auto& [path, blob] : symlinks) blobs.push_back(blob);
  // Sizes first: a target of gigabytes must not be read.
  TRY_ASSIGN(const std::string sizes,
             run({"cat-file", "--batch-check=%(objectsize)"}, lines_of(blobs), blobs.size() * 32, "the symlinks"));
  for (const std::string& size : split_lines(sizes)) {
    const auto number = parse_u64(size);
    if (!number || *number > path_rules::kMaxTarget) return refuse("a symlink's target is too long");
  }
  TRY_ASSIGN(const std::string out, run({"cat-file", "--batch"}, lines_of(blobs),
                                        blobs.size() * (path_rules::kMaxTarget + 128), "the symlinks"));
  BatchReader reader(out);
  for (const auto& [path, blob] : symlinks) {
    TRY_ASSIGN(const std::string_view target, reader.next("blob"));
    if (const auto why = path_rules::why_bad_symlink(path, target)) {
      return refuse("the symlink '" + printable(path) + "' to '" + printable(target) + "' has " + std::string(*why));
    }
  }
  return {};
}

Result<> Inspector::inspect(const std::vector<ObjectId>& tips, const Known& known) const {
  TRY(check_tips(tips));
  std::vector<std::string> range = tips;
  range.emplace_back("--not");
  range.insert(range.end(), known.commits.begin(), known.commits.end());
  if (known.all_refs) range.emplace_back("--all");
  range.emplace_back("--");
  TRY_ASSIGN(const auto commits, new_commits(range));
  TRY_ASSIGN(const auto trees, check_connected(range));
  TRY(check_sizes(trees));
  TRY(check_commits(commits));
  return check_paths(commits);
}

}  // namespace locki::git
