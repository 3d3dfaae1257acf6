#include "endpoint/replay.h"

#include <optional>
#include <vector>

#include "base/strings.h"
#include "mirror/door.h"

namespace locki::endpoint {
namespace {

constexpr std::size_t kMost = 2000;  // more is a matter for people

tl::unexpected<Error> clash(const std::string& commit, const std::string& why) {
  return fail(ErrorKind::kConflict, "commit " + commit.substr(0, 12) + " " + why);
}

// What merge-tree --name-only says of a merge that did not work: a tree, the paths in conflict, an empty line, messages.
std::string conflicts_of(const std::string& output) {
  const auto lines = split_lines(output);
  std::string paths;
  for (std::size_t i = 1; i < lines.size() && !lines[i].empty() && paths.size() < 300; ++i) paths += (paths.empty() ? "" : ", ") + lines[i];
  return paths;
}

}  // namespace

std::string rewritten_commit(std::string_view raw, const std::string& tree, const std::string& parent) {
  const std::size_t end = raw.find("\n\n");
  if (!raw.starts_with("tree ") || end == std::string_view::npos) return "";
  std::string out = "tree " + tree + "\nparent " + parent + "\n";
  bool skipping = false;
  for (std::string_view header = raw.substr(0, end + 1); !header.empty();) {
    const std::size_t line_end = header.find('\n');
    const std::string_view line = header.substr(0, line_end + 1);
    header.remove_prefix(line.size());
    // A line that begins with a space goes on with the header before it.
    if (!line.starts_with(' ')) skipping = line.starts_with("tree ") || line.starts_with("parent ") || line.starts_with("gpgsig ") || line.starts_with("gpgsig-sha256 ");
    if (!skipping) out += line;
  }
  return out + std::string(raw.substr(end + 1));
}

Result<> Replay::add(const std::string& from, const std::string& to) {
  TRY_ASSIGN(const std::string listed, repository_->git({"rev-list", "--reverse", "--topo-order", "--parents", "--max-count=" + std::to_string(kMost + 1), to, "^" + from, "^" + onto_}));
  const auto lines = split_lines(listed);
  if (lines.size() > kMost) return clash(to, "is the last of more than " + std::to_string(kMost));
  std::string names;
  std::vector<std::pair<std::string, std::string>> commits;  // and its parent
  bool merges = false;
  for (const std::string& line : lines) {
    auto ids = split(line, ' ');
    merges |= ids.size() > 2;
    if (ids.size() < 2) return clash(ids[0], "has no parent");
    names += ids[0] + "\n";
    commits.emplace_back(std::move(ids[0]), std::move(ids[1]));
  }
  if (merges) {
    TRY(join(to));
    count_ += static_cast<std::uint32_t>(lines.size());
    taken_ = to;
    return {};
  }
  TRY_ASSIGN(const std::string objects, repository_->git({"cat-file", "--batch"}, names));
  std::size_t at = 0;
  for (const auto& [commit, parent] : commits) {
    // "<id> commit <size>\n<bytes>\n"
    const std::size_t end = objects.find('\n', at);
    const auto words = split(std::string_view(objects).substr(at, end == std::string::npos ? end : end - at), ' ');
    const auto size = words.size() == 3 && words[1] == "commit" ? parse_u64(words[2]) : std::nullopt;
    if (!size || objects.size() - end < *size) return fail(ErrorKind::kFailed, "git cannot read commit " + commit);
    TRY(pick(commit, parent, objects.substr(end + 1, *size)));
    at = end + 1 + *size + 1;
  }
  taken_ = to;
  return {};
}

Result<Replay::Merged> Replay::merge(const std::string& one, const std::string& other) const {
  TRY_ASSIGN(const sys::Output done, sys::run(repository_->command({"merge-tree", "--write-tree", "--name-only", one, other}), {}, {.timeout = std::chrono::minutes(2)}));
  if (done.exit.status == 1 && done.exit.signal == 0) return Merged{"", "changes what the user has changed: " + conflicts_of(done.out)};
  if (!done.exit.ok()) return Merged{"", "cannot be merged: git merge-tree " + done.exit.describe() + " " + std::string(trim(done.err))};
  Merged merged{std::string(trim(done.out)), ""};
  if (!mirror::is_object_id(merged.tree)) return fail(ErrorKind::kFailed, "git merge-tree gives no tree");
  return merged;
}

Result<> Replay::join(const std::string& commit) {
  TRY_ASSIGN(const Merged merged, merge(tip_, commit));
  if (!merged.conflicts.empty()) return clash(commit, merged.conflicts);
  TRY_ASSIGN(const std::string made, repository_->git({"commit-tree", "-p", tip_, "-p", commit, "-m", "Merge what was committed in the sandbox meanwhile", merged.tree}));
  tip_ = std::string(trim(made));
  return {};
}

Result<> Replay::pick(const std::string& commit, const std::string& parent, const std::string& raw) {
  TRY_ASSIGN(const std::string trees, repository_->git({"rev-parse", tip_ + "^{tree}", parent + "^{tree}", commit + "^{tree}"}));
  const auto ids = split_lines(trees);
  if (ids.size() != 3) return fail(ErrorKind::kFailed, "git cannot read commit " + commit);
  const bool was_empty = ids[1] == ids[2];
  std::string tree = ids[0] == ids[1] ? ids[2] : ids[0];
  if (ids[0] != ids[1] && !was_empty) {
    // merge-tree of git 2.39 takes no base: a commit with the tree of the one and the parent of the other has it.
    TRY_ASSIGN(const std::string beside, repository_->git({"-c", "user.name=locki", "-c", "user.email=locki", "commit-tree", "-p", parent, "-m", "locki", ids[0]}));
    TRY_ASSIGN(Merged merged, merge(std::string(trim(beside)), commit));
    if (!merged.conflicts.empty()) return clash(commit, merged.conflicts);
    tree = std::move(merged.tree);
  }
  if (tree == ids[0] && !was_empty) return {};
  const std::string rewritten = rewritten_commit(raw, tree, tip_);
  if (rewritten.empty()) return fail(ErrorKind::kFailed, "commit " + commit + " is malformed");
  TRY_ASSIGN(const std::string made, repository_->git({"hash-object", "-t", "commit", "-w", "--stdin"}, rewritten));
  tip_ = std::string(trim(made));
  ++count_;
  return {};
}

}  // namespace locki::endpoint
