#include "review/branch.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>
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

bool has_content(std::uint32_t mode) { return mode == kModeFile || mode == kModeProgram || mode == kModeSymlink; }

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

  std::vector<Judged> judge_one(const Change& change, Place place) const {
    std::vector<Judged> findings;
    for (Finding& finding : judge(change, rules_, around_)) {
      Judged judged{std::move(finding)};
      judged.place = place;
      judged.mode = change.after.mode;
      if (change.after.mode != 0 && !change.after.unread) judged.content = hash_of(change.after.content).to_hex();
      findings.push_back(std::move(judged));
    }
    return findings;
  }

  // take(change, findings) of each.
  template <typename Take>
  Result<> judge_all(const std::vector<git::RawChange>& raw, Place place, Take take) const {
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
      TRY(fill(wanted));
      for (std::size_t i = start; i < end; ++i) take(raw[i], judge_one(changes[i - start], place));
    }
    return {};
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
    const auto n = sys::read_some(file->fd.get(), reinterpret_cast<std::uint8_t*>(content.data()) + have, kHead);
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

void append(std::vector<Judged>& all, std::vector<Judged> more) { all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end())); }

constexpr std::pair<Place, std::string_view> kPlaces[] = {{Place::kBranch, "branch"}, {Place::kWorktree, "worktree"}, {Place::kHistory, "history"}};

std::string_view name_of(Place place) {
  return std::find_if(std::begin(kPlaces), std::end(kPlaces), [&](const auto& known) { return known.first == place; })->second;
}

// What one commit made of one path, compared with its first parent.
struct Step {
  git::ObjectId commit;
  git::RawChange change;
};

Result<std::vector<Step>> steps(const git::Repository& repository, const std::vector<std::string>& commits) {
  // The changes of each commit, behind its id.
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--root", "--diff-merges=first-parent"}),
                                                join(commits, "\n") + "\n", kRun));
  std::vector<Step> steps;
  std::string_view rest = out;
  git::ObjectId commit;
  while (!rest.empty()) {
    if (rest.front() != ':') {
      const std::size_t end = rest.find('\0');
      commit = rest.substr(0, end);
      if (end == std::string_view::npos || !git::is_object_id(commit)) return fail(ErrorKind::kProtocol, "git diff-tree answered something unexpected");
      rest.remove_prefix(end + 1);
      continue;
    }
    // ":modes ids status\0path\0": a path may hold anything but NUL.
    const std::size_t fields = rest.find('\0');
    const std::size_t path = fields == std::string_view::npos ? fields : rest.find('\0', fields + 1);
    if (path == std::string_view::npos || commit.empty()) return fail(ErrorKind::kProtocol, "git diff-tree answered something unexpected");
    TRY_ASSIGN(auto one, git::parse_raw_changes(rest.substr(0, path + 1)));
    for (git::RawChange& change : one) steps.push_back({commit, std::move(change)});
    rest.remove_prefix(path + 1);
  }
  return steps;
}

struct Blob {
  std::string mode = "000000";
  git::ObjectId id;
};

// What `commit` has at these paths; absent ones are left out.
Result<std::map<std::string, Blob>> blobs_at(const git::Repository& repository, const git::ObjectId& commit, const std::set<std::string>& paths) {
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"ls-tree", "-r", "-z", "--full-tree", commit}), {}, kRun));
  TRY_ASSIGN(auto entries, git::parse_tree_listing(out));
  std::map<std::string, Blob> found;
  for (git::TreeEntry& entry : entries)
    if (paths.contains(entry.path)) found[entry.path] = {std::move(entry.mode), std::move(entry.id)};
  return found;
}

}  // namespace

Result<Report> review_commits(const git::Repository& repository, const git::ObjectId& base, const git::ObjectId& tip, const Rules& rules, const Limits& limits) {
  Reviewer reviewer(repository, rules, limits);
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tip}), {}, kRun));
  TRY_ASSIGN(const auto raw, git::parse_raw_changes(out));
  TRY(reviewer.too_many(raw.size()));
  Report report{.changed = raw.size()};
  if (raw.empty()) return report;
  TRY(reviewer.surround({base, tip}));
  TRY(reviewer.judge_all(raw, Place::kBranch, [&](const git::RawChange&, std::vector<Judged> findings) { append(report.findings, std::move(findings)); }));
  return report;
}

Result<Report> review_history(const git::Repository& repository, const git::ObjectId& base, const git::ObjectId& tip, const Report& at_tip, const Rules& rules, const Limits& limits) {
  TRY_ASSIGN(const std::string listed, sys::run_ok(repository.common_command({"rev-list", "--topo-order", base + ".." + tip}), {}, kRun));
  std::vector<std::string> commits = split_lines(listed);
  Report report;
  if (commits.size() < 2) return report;
  if (commits.size() > limits.commits) {
    report.skipped = commits.size() - limits.commits;
    commits.resize(limits.commits);
  }
  TRY_ASSIGN(auto made, steps(repository, commits));
  std::set<std::string> paths;
  for (const Step& step : made) paths.insert(step.change.path);
  TRY_ASSIGN(const auto before, blobs_at(repository, base, paths));
  TRY_ASSIGN(const auto after, blobs_at(repository, tip, paths));
  // Each version once, at the newest commit that has it; not those that the base or the tip has, and nothing that is gone: the tip's review says so.
  std::set<std::tuple<std::string, std::string, git::ObjectId>> seen;
  std::vector<git::RawChange> versions;
  std::map<std::pair<std::string, git::ObjectId>, git::ObjectId> commit_of;
  for (Step& step : made) {
    git::RawChange& change = step.change;
    if (mode_of(change.new_mode) == 0 || !seen.insert({change.path, change.new_mode, change.new_id}).second) continue;
    const auto is_there = [&](const auto& blobs) {
      const auto at = blobs.find(change.path);
      return at != blobs.end() && at->second.id == change.new_id && at->second.mode == change.new_mode;
    };
    if (is_there(before) || is_there(after)) continue;
    const auto old = before.find(change.path);
    const Blob was = old == before.end() ? Blob{} : old->second;
    change.old_mode = was.mode;
    change.old_id = was.id;
    versions.push_back(std::move(change));
    commit_of.try_emplace({versions.back().path, versions.back().new_id}, step.commit);
  }
  if (versions.empty()) return report;
  Reviewer reviewer(repository, rules, limits);
  TRY(reviewer.too_many(versions.size()));
  TRY(reviewer.surround({base, tip}));
  std::set<std::pair<std::string, std::string>> known;
  for (const Judged& finding : at_tip.findings) known.emplace(finding.path, finding.rule);
  TRY(reviewer.judge_all(versions, Place::kHistory, [&](const git::RawChange& version, std::vector<Judged> findings) {
    for (Judged& finding : findings) {
      if (!known.emplace(finding.path, finding.rule).second) continue;
      finding.commit = commit_of.at({version.path, version.new_id});
      finding.severity = std::min(finding.severity, Severity::kMedium);
      report.findings.push_back(std::move(finding));
    }
  }));
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
    for (const Change& change : changes) append(report.findings, reviewer.judge_one(change, Place::kWorktree));
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
    all.skipped = std::max(all.skipped, report.skipped);
    for (Judged& finding : report.findings) {
      // The same content found twice is one finding, and it counts as the branch's.
      auto [at, is_new] = found.try_emplace({finding.path, finding.rule, finding.content}, finding);
      if (!is_new && finding.place == Place::kBranch) at->second = std::move(finding);
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
          {"detail", text(finding.detail)}, {"where", name_of(finding.place)}, {"mode", finding.mode},             {"content", finding.content},
          {"commit", finding.commit}};
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
  TRY_ASSIGN(finding.commit, json::get_string(o, "commit"));
  const auto place = std::find_if(std::begin(kPlaces), std::end(kPlaces), [&](const auto& known) { return known.second == where; });
  const bool has_commit = git::is_object_id(finding.commit);
  if (place == std::end(kPlaces) || has_commit != (place->first == Place::kHistory) || (!has_commit && !finding.commit.empty()) || mode < 0 || mode > 0777777) return fail(ErrorKind::kProtocol, "a finding is broken");
  finding.severity = severity == "high" ? Severity::kHigh : severity == "medium" ? Severity::kMedium : Severity::kLow;
  finding.place = place->first;
  finding.mode = static_cast<std::uint32_t>(mode);
  return finding;
}

}  // namespace locki::review
