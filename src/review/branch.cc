#include "review/branch.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <unordered_set>

#include "base/hash.h"
#include "base/path_rules.h"
#include "git/filters.h"
#include "git/objects.h"
#include "sys/beneath.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxListing = 512 << 20;
constexpr std::size_t kAtOnce = 64;  // changes whose contents are in memory together
constexpr std::size_t kHead = 64 << 10;
const sys::RunLimits kRun{.timeout = std::chrono::minutes(10), .max_output = kMaxListing};

std::uint32_t mode_of(std::string_view octal) {
  std::uint32_t mode = 0;
  std::from_chars(octal.data(), octal.data() + octal.size(), mode, 8);
  return mode;
}

struct Tree {
  std::vector<git::TreeEntry> symlinks;
  std::set<std::string> with_head;  // directories that hold a file called HEAD, folded names
};

std::string folded(std::string_view path) { return join(folded_components(path), "/"); }

Result<Tree> look_at_tree(const git::Repository& repository, const git::ObjectId& commit) {
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"ls-tree", "-r", "-z", "--full-tree", commit}), {}, kRun));
  TRY_ASSIGN(auto entries, git::parse_tree_listing(out));
  Tree tree;
  for (git::TreeEntry& entry : entries) {
    const std::size_t slash = entry.path.rfind('/');
    if (slash != std::string::npos && path_rules::fold(std::string_view(entry.path).substr(slash + 1)) == "head") tree.with_head.insert(folded(entry.path.substr(0, slash)));
    if (entry.mode == "120000") tree.symlinks.push_back(std::move(entry));
  }
  return tree;
}

class Reviewer {
 public:
  Reviewer(const git::Repository& repository, const Rules& rules, const Limits& limits) : repository_(repository), rules_(rules), limits_(limits) {}

  Result<> surround(const std::vector<git::ObjectId>& commits) {
    std::set<std::string> with_head;
    for (const git::ObjectId& commit : commits) {
      TRY_ASSIGN(Tree tree, look_at_tree(repository_, commit));
      with_head.merge(tree.with_head);
      std::vector<git::ObjectId> ids;
      for (const auto& link : tree.symlinks) ids.push_back(link.id);
      TRY_ASSIGN(const auto targets, blobs(ids, path_rules::kMaxTarget));
      for (std::size_t i = 0; i < targets.size(); ++i) around_.links.add(tree.symlinks[i].path, targets[i].content);
    }
    around_.host_has_head = [with_head = std::move(with_head)](std::string_view directory) { return with_head.contains(folded(directory)); };
    return {};
  }
  void add_link(std::string_view path, std::string_view target) { around_.links.add(path, target); }

  Result<std::vector<git::Blob>> blobs(const std::vector<git::ObjectId>& ids, std::uint64_t limit) const {
    return git::read_blobs([this](std::vector<std::string> args) { return repository_.common_command(std::move(args)); }, ids, limit);
  }

  // The contents that objects have; a submodule has none.
  Result<> fill(std::vector<std::pair<Version*, git::ObjectId>>& wanted) const {
    std::vector<git::ObjectId> ids;
    for (const auto& [version, id] : wanted) ids.push_back(id);
    TRY_ASSIGN(auto read, blobs(ids, limits_.content));
    for (std::size_t i = 0; i < read.size(); ++i) {
      wanted[i].first->content = std::move(read[i].content);
      wanted[i].first->unread = !read[i].whole;
    }
    return {};
  }

  void judge_one(const Change& change, bool committed, Report& report) const {
    for (Finding& finding : judge(change, rules_, around_)) {
      Judged judged{std::move(finding)};
      judged.committed = committed;
      judged.mode = change.after.mode;
      if (change.after.mode != 0 && !change.after.unread) judged.content = hash_of(change.after.content).to_hex();
      report.findings.push_back(std::move(judged));
    }
  }

  Result<> too_many(std::size_t paths) const {
    if (paths <= limits_.paths) return {};
    return fail(ErrorKind::kNoSpace, "more than " + std::to_string(limits_.paths) + " files changed", "look at the branch in parts: git diff");
  }

  const git::Repository& repository_;
  const Rules& rules_;
  const Limits& limits_;

 private:
  Surroundings around_;
};

bool has_content(std::uint32_t mode) { return mode == kModeFile || mode == kModeProgram || mode == kModeSymlink; }

// What is there on disk; mode 0 when nothing is.
Version on_disk(const sys::Directory& root, const std::string& path, std::uint64_t limit) {
  Version version;
  const auto stat = root.stat(path);
  if (!stat) return version;
  if (stat->is_symlink()) {
    auto target = root.read_link(path);
    if (!target) return version;
    return {kModeSymlink, std::move(*target), false};
  }
  if (!stat->is_file()) return version;
  version.mode = (stat->mode & 0100) != 0 ? kModeProgram : kModeFile;
  const auto file = root.open_file(path);
  if (!file) {
    version.unread = true;
    return version;
  }
  // In pieces: it may grow while it is read.
  std::string& content = version.content;
  while (content.size() <= limit) {
    const std::size_t have = content.size();
    content.resize(have + kHead);
    const auto n = sys::read_some(file->get(), reinterpret_cast<std::uint8_t*>(content.data()) + have, kHead);
    content.resize(have + (n ? *n : 0));
    if (!n) version.unread = true;
    if (!n || *n == 0) return version;
  }
  content.resize(kHead);
  version.unread = true;
  return version;
}

// Files that are in the worktree and not in its index.
Result<std::vector<std::string>> untracked(const git::Repository& repository, const std::vector<std::string>& known) {
  const auto list = [&](std::vector<std::string> args) -> Result<std::vector<std::string>> {
    TRY_ASSIGN(const std::string out, sys::run_ok(repository.command(std::move(args)), {}, kRun));
    auto paths = split(out, '\0');
    // A directory is another repository of the user's.
    std::erase_if(paths, [](const std::string& path) { return path.empty() || path.ends_with('/'); });
    return paths;
  };
  TRY_ASSIGN(auto paths, list({"ls-files", "--others", "--exclude-standard", "-z"}));
  if (known.empty()) return paths;
  const std::unordered_set<std::string> came(known.begin(), known.end());
  TRY_ASSIGN(auto ignored, list({"ls-files", "--others", "--ignored", "--exclude-standard", "-z"}));
  for (std::string& path : ignored)
    if (came.contains(path)) paths.push_back(std::move(path));
  return paths;
}

std::string_view kind_key(const Judged& finding) { return finding.committed ? "branch" : "worktree"; }

}  // namespace

Result<Report> review_commits(const git::Repository& repository, const git::ObjectId& base, const git::ObjectId& tip, const Rules& rules, const Limits& limits) {
  Reviewer reviewer(repository, rules, limits);
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tip}), {}, kRun));
  TRY_ASSIGN(const auto raw, git::parse_raw_changes(out));
  TRY(reviewer.too_many(raw.size()));
  Report report{.changed = raw.size()};
  if (raw.empty()) return report;
  TRY(reviewer.surround({base, tip}));
  for (std::size_t start = 0; start < raw.size(); start += kAtOnce) {
    const std::size_t end = std::min(raw.size(), start + kAtOnce);
    std::vector<Change> changes(end - start);
    std::vector<std::pair<Version*, git::ObjectId>> wanted;
    for (std::size_t i = start; i < end; ++i) {
      Change& change = changes[i - start];
      change.path = raw[i].path;
      change.before.mode = mode_of(raw[i].old_mode);
      change.after.mode = mode_of(raw[i].new_mode);
      if (has_content(change.before.mode)) wanted.emplace_back(&change.before, raw[i].old_id);
      if (has_content(change.after.mode)) wanted.emplace_back(&change.after, raw[i].new_id);
      // What a submodule points at is its content.
      if (change.before.mode == kModeSubmodule) change.before.content = raw[i].old_id;
      if (change.after.mode == kModeSubmodule) change.after.content = raw[i].new_id;
    }
    TRY(reviewer.fill(wanted));
    for (const Change& change : changes) reviewer.judge_one(change, true, report);
  }
  return report;
}

Result<Report> review_worktree(const git::Repository& repository, const git::ObjectId& base, const std::vector<std::string>& known, const Rules& rules, const Limits& limits) {
  Reviewer reviewer(repository, rules, limits);
  auto diff = repository.command({"diff-index", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=all", base, "--"});
  TRY(git::disable_filters(repository, diff));
  TRY_ASSIGN(const std::string out, sys::run_ok(diff, {}, kRun));
  TRY_ASSIGN(const auto raw, git::parse_raw_changes(out));
  struct Old {
    std::uint32_t mode = 0;
    git::ObjectId id;
  };
  std::map<std::string, Old> paths;
  for (const git::RawChange& change : raw) paths[change.path] = {mode_of(change.old_mode), change.old_id};
  TRY_ASSIGN(const auto others, untracked(repository, known));
  for (const std::string& path : others) paths.try_emplace(path);
  TRY(reviewer.too_many(paths.size()));
  Report report{.changed = paths.size()};
  if (paths.empty()) return report;
  TRY(reviewer.surround({base}));
  TRY_ASSIGN(const auto root, sys::Directory::open(repository.toplevel()));
  for (const auto& [path, old] : paths)
    if (auto target = root.read_link(path)) reviewer.add_link(path, *target);
  std::vector<Change> changes;
  std::vector<std::pair<std::size_t, git::ObjectId>> old_ids;
  const auto flush = [&]() -> Result<> {
    std::vector<std::pair<Version*, git::ObjectId>> wanted;
    for (const auto& [index, id] : old_ids) wanted.emplace_back(&changes[index].before, id);
    TRY(reviewer.fill(wanted));
    for (const Change& change : changes) reviewer.judge_one(change, false, report);
    changes.clear();
    old_ids.clear();
    return {};
  };
  for (const auto& [path, old] : paths) {
    Change change{.path = path, .after = on_disk(root, path, limits.content)};
    change.before.mode = old.mode == kModeSubmodule ? 0 : old.mode;
    if (has_content(change.before.mode)) old_ids.emplace_back(changes.size(), old.id);
    changes.push_back(std::move(change));
    if (changes.size() == kAtOnce) TRY(flush());
  }
  TRY(flush());
  return report;
}

Report merged(std::vector<Report> reports) {
  Report all;
  std::map<std::tuple<std::string, std::string, std::string>, Judged> found;
  for (Report& report : reports) {
    all.changed += report.changed;
    for (Judged& finding : report.findings) {
      // The same content found twice is one finding, and it counts as the branch's.
      auto [at, is_new] = found.try_emplace({finding.path, finding.rule, finding.content}, finding);
      if (!is_new && finding.committed && !at->second.committed) at->second = std::move(finding);
    }
  }
  for (auto& [key, finding] : found) all.findings.push_back(std::move(finding));
  std::stable_sort(all.findings.begin(), all.findings.end(), [](const Judged& a, const Judged& b) { return a.severity > b.severity; });
  return all;
}

json::object to_json(const Judged& finding) {
  // JSON is UTF-8; a path need not be.
  const auto text = [](const std::string& bytes) { return is_utf8(bytes) ? bytes : printable(bytes, 8000); };
  return {{"path", text(finding.path)}, {"rule", finding.rule},         {"severity", to_string(finding.severity)}, {"why", finding.why},
          {"detail", text(finding.detail)}, {"where", kind_key(finding)}, {"mode", finding.mode},                    {"content", finding.content}};
}

Result<Judged> judged_from_json(const json::object& o) {
  Judged finding;
  TRY_ASSIGN(finding.path, json::get_string(o, "path"));
  TRY_ASSIGN(finding.rule, json::get_string(o, "rule"));
  TRY_ASSIGN(const std::string severity, json::get_string(o, "severity"));
  TRY_ASSIGN(finding.why, json::get_string(o, "why"));
  TRY_ASSIGN(finding.detail, json::get_string(o, "detail"));
  TRY_ASSIGN(const std::string where, json::get_string(o, "where"));
  TRY_ASSIGN(const std::int64_t mode, json::get_int(o, "mode"));
  TRY_ASSIGN(finding.content, json::get_string(o, "content"));
  if (severity != "high" && severity != "medium" && severity != "low") return fail(ErrorKind::kProtocol, "a finding has no severity");
  if ((where != "branch" && where != "worktree") || mode < 0 || mode > 0777777) return fail(ErrorKind::kProtocol, "a finding is broken");
  finding.severity = severity == "high" ? Severity::kHigh : severity == "medium" ? Severity::kMedium : Severity::kLow;
  finding.committed = where == "branch";
  finding.mode = static_cast<std::uint32_t>(mode);
  return finding;
}

}  // namespace locki::review
