// What stays at the door until the user lets it in. Nothing here is remembered between plans but what is shown to the user: each plan
// holds back anew what the rules say, so a held path needs no timer, comes back after a restart and disappears with its cause.
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/path_rules.h"
#include "git/index_marks.h"
#include "mirror/session_impl.h"
#include "review/repository_parts.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

constexpr std::uint64_t kMaxShown = 1 << 20;       // larger files are held without their content
constexpr std::uint64_t kMaxShownAtOnce = 32 << 20;
constexpr std::size_t kMaxShownFiles = 2000;
constexpr int kMaxUnread = 3;
constexpr std::chrono::milliseconds kMarkRetry{500};

std::string folded(std::string_view path) {
  auto parts = split(path, '/');
  for (std::string& part : parts) part = path_rules::fold(part);
  return join(parts, "/");
}

}  // namespace

// The user's symlinks give paths other names; the user's bare repositories make some names dangerous.
void Session::Impl::look_at_host_names() {
  links = {};
  repositories.clear();
  holding.clear();
  for (const auto& [path, entry] : tree->state()) {
    if (entry.kind == EntryKind::kSymlink) links.add(path, entry.target);
    const std::string_view name = std::string_view(path).substr(parent_of(path).empty() ? 0 : parent_of(path).size() + 1);
    if (name.size() == 4 && entry.kind != EntryKind::kDirectory && path_rules::fold(name) == "head")
      repositories.insert(folded(parent_of(path)));
  }
}

std::optional<std::string> Session::Impl::rule_for(const std::string& path, EntryKind kind) const {
  const review::HoldRules& rules = options.rules;
  const auto names = links.names_of(path);
  if (!names) return "too many symlinks lead there to tell all its names";
  if (rules.allowed(path)) return std::nullopt;
  for (const std::string& name : *names) {
    auto why = kind == EntryKind::kSymlink ? rules.why_link(name) : rules.why(name);
    if (!why && kind != EntryKind::kDirectory) {
      why = review::why_repository_part(name, [&](std::string_view directory) { return repositories.contains(folded(directory)); });
    }
    if (why) return name == path ? *why : *why + " (also called " + printable(name, 200) + ")";
  }
  return std::nullopt;
}

// Directories are nothing by themselves: they come with what is let in beneath them.
bool Session::Impl::held_back(const Action& action) {
  if (action.kind != Action::Kind::kChangeHost || !action.to) return false;
  auto why = rule_for(action.path, action.to->kind);
  if (!why || held.accepted(action.path, *action.to)) return false;
  if (action.to->kind != EntryKind::kDirectory) holding[action.path] = {action.path, *action.to, std::move(*why), ""};
  return true;
}

// What is held now against what was: gives the files whose content is to be fetched, so that the user can look at it.
std::vector<Session::Impl::Download> Session::Impl::compare_held(bool whole_plan) {
  std::vector<Download> fetch;
  if (whole_plan) {
    std::vector<std::string> gone;
    for (const auto& [path, file] : held.files())
      if (!holding.contains(path)) gone.push_back(path);
    for (const std::string& path : gone) {
      held.erase(path);
      unread.erase(path);
      if (told_held.erase(path) > 0) tell({"unheld", path, "", ""});
      marks_due = true;
    }
  }
  std::uint64_t bytes = 0;
  for (auto& [path, file] : holding) {
    const auto known = held.files().find(path);
    const bool same = known != held.files().end() && known->second.entry == file.entry;
    if (same) {
      if (told_held.insert(path).second) tell({"held", path, known->second.version, known->second.why});
      continue;
    }
    const bool shown = file.entry.kind == EntryKind::kFile && file.entry.size <= kMaxShown && unread[path] < kMaxUnread &&
                       held.files().size() + fetch.size() < kMaxShownFiles;
    if (!shown) {
      put_held(file);
    } else if (bytes + file.entry.size <= kMaxShownAtOnce) {
      // The rest comes with the next round.
      bytes += file.entry.size;
      const Action action{Action::Kind::kChangeHost, path, std::nullopt, file.entry, file.entry, false};
      fetch.push_back({.step = {action, {}}, .to_spool = true, .for_review = true});
    }
  }
  return fetch;
}

void Session::Impl::put_held(HeldFile file) {
  unread.erase(file.path);
  told_held.insert(file.path);
  marks_due = true;
  tell({"held", file.path, file.version, file.why});
  held.put(std::move(file));
}

void Session::Impl::held_fetched(Download& download) {
  const std::string& path = download.step.action.path;
  auto bytes = Result<std::string>(std::string());
  if (download.problem.empty()) {
    if (::lseek(download.spool.get(), 0, SEEK_SET) == 0) bytes = sys::read_all(download.spool.get(), kMaxShown);
  }
  std::error_code ignored;
  std::filesystem::remove(download.spool_path, ignored);
  if (!download.problem.empty() || !bytes || hash_of(*bytes) != download.step.action.to->content) {
    ++unread[path];
    return;
  }
  round->held.push_back({path, *download.step.action.to, std::move(*bytes)});
}

Result<> Session::Impl::store_held() {
  if (round->held.empty()) return {};
  TRY_ASSIGN(const std::string version, history.keep_held(round->held));
  for (const HeldContent& content : round->held) {
    const auto found = holding.find(content.path);
    if (found == holding.end()) continue;
    HeldFile file = found->second;
    file.version = version;
    put_held(std::move(file));
  }
  round->held.clear();
  return held.save();
}

// {"request":"accept","files":[{"path":…,"content":…}]}: all of them or none.
Result<> Session::Impl::accept(const json::object& line) {
  TRY_ASSIGN(const json::array files, json::get_array(line, "files"));
  std::vector<std::pair<std::string, std::string>> wanted;
  for (const json::value& item : files) {
    if (!item.is_object()) return fail(ErrorKind::kUsage, "an acceptance names paths and contents");
    TRY_ASSIGN(std::string path, json::get_string(item.get_object(), "path"));
    TRY_ASSIGN(std::string content, json::get_string(item.get_object(), "content"));
    const auto found = held.files().find(path);
    if (found == held.files().end() || found->second.content_id() != content)
      return fail(ErrorKind::kConflict, "'" + printable(path) + "' is not what was shown (any more)");
    wanted.emplace_back(std::move(path), std::move(content));
  }
  for (const auto& [path, content] : wanted) TRY(held.accept(path, content));
  TRY(held.save());
  plan_again = true;
  return {};
}

// A commit may hold what the worktree is not to have: without the mark git would call it deleted, and `git stash` would write it.
Result<> Session::Impl::mark_index() {
  if (git->index_moves() != marked_at) marks_due = true;
  if (!marks_due || round || Clock::now() < mark_again) return {};
  std::set<std::string> wanted;
  for (const auto& [path, file] : held.files()) wanted.insert(path);
  const std::uint64_t moves = git->index_moves();
  if (wanted.empty() && held.marked().empty()) {
    marks_due = false;
    marked_at = moves;
    return {};
  }
  TRY_ASSIGN(const auto worktree, git::Repository::discover(program, options.settings.worktree));
  auto marked = git::mark_skipped(worktree, wanted, held.marked());
  if (!marked) {
    log::info("{}", marked.error().describe());
    mark_again = Clock::now() + kMarkRetry;
    return {};
  }
  sys::fault_point("index.marked");
  marks_due = false;
  marked_at = moves;
  held.set_marked(std::move(*marked));
  return held.save();
}

}  // namespace locki::mirror
