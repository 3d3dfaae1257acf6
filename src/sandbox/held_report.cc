#include "sandbox/held_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "mirror/history.h"
#include "review/hold_rules.h"
#include "sys/beneath.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;
using mirror::EntryKind;
using mirror::HeldFile;

namespace {

constexpr std::size_t kMaxContent = 1 << 20;
constexpr std::size_t kMaxDiff = 64 << 10;
const fs::path kShown = "reviewed.json";
const fs::path kAccepted = "accepted.json";
constexpr std::size_t kMaxAcceptedOfPath = 16;

// What the host has there as text to compare with; nullopt: nothing.
std::optional<std::string> on_host(const sys::Directory& worktree, const std::string& path) {
  if (auto file = worktree.open_file(path)) {
    auto content = sys::read_all(file->fd.get(), kMaxContent);
    return content ? *content : "(larger than can be shown)\n";
  }
  if (auto target = worktree.read_link(path)) return "symlink to " + *target + "\n";
  return std::nullopt;
}

Result<std::string> diff_of(const git::Program& git, const fs::path& scratch, const std::optional<std::string>& before, const std::string& after) {
  TRY(sys::write_file(scratch / "before", before.value_or(""), 0600));
  TRY(sys::write_file(scratch / "after", after, 0600));
  auto spec = git::command(git, git::Config::kOurs, scratch, {"diff", "--no-index", "--no-color", "--no-ext-diff", "--no-textconv", "--", "before", "after"});
  TRY_ASSIGN(const sys::Output output, sys::run(spec, {}, {.max_output = 8 << 20}));  // exit 1: they differ
  const std::string& text = output.out;
  const auto hunk = text.find("\n@@");
  if (hunk != std::string::npos) return text.substr(hunk + 1);
  return text.find("\nBinary files") != std::string::npos ? "Binary files differ\n" : std::string();
}

// JSON is UTF-8: a line that is none is shown with its bytes spelled out.
std::string as_utf8(const std::string& text) {
  if (is_utf8(text)) return text;
  std::string out;
  for (const std::string& line : split_lines(text)) out += (is_utf8(line) ? line : printable(line, 8000)) + "\n";
  return out;
}

Result<json::object> report_one(const HeldFile& file, const mirror::History& history, const sys::Directory& worktree, const git::Program& git, const fs::path& scratch) {
  const auto before = on_host(worktree, file.path);
  json::object o = to_json(file);
  o["content"] = file.content_id();
  o["new"] = !before.has_value();
  o.erase("version");
  std::string note, diff;
  if (file.entry.kind == EntryKind::kSymlink) {
    TRY_ASSIGN(diff, diff_of(git, scratch, before, "symlink to " + file.entry.target + "\n"));
  } else if (file.version.empty()) {
    note = "its content is too large to be shown, or could not be read";
  } else {
    TRY_ASSIGN(const std::string content, history.read(file.version, file.path, kMaxContent + 1));
    // The history is ours, but what is let in is what the hash names: it must be what is shown.
    if (hash_of(content) != file.entry.content) return fail(ErrorKind::kFailed, "the history has another content for " + printable(file.path));
    TRY_ASSIGN(diff, diff_of(git, scratch, before, content));
    if (diff.empty()) note = file.entry.executable ? "the same text, but executable" : "the same text, with another mode";
  }
  if (diff.size() > kMaxDiff) {
    diff.resize(kMaxDiff);
    note = "only the beginning is shown";
  }
  o["diff"] = as_utf8(diff);
  o["note"] = note;
  return o;
}

}  // namespace

Result<json::array> report_held(const std::vector<HeldFile>& files, const fs::path& mirror_state, const fs::path& worktree, const git::Program& git) {
  json::array out;
  if (files.empty()) return out;
  TRY_ASSIGN(const auto history, mirror::History::open_existing(git, mirror_state / "history"));
  TRY_ASSIGN(const auto root, sys::Directory::open(worktree));
  TRY_ASSIGN(const auto scratch, sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-review"));
  for (const HeldFile& file : files) {
    TRY_ASSIGN(json::object one, report_one(file, history, root, git, scratch.path()));
    out.push_back(std::move(one));
  }
  return out;
}

Result<> save_shown(const fs::path& directory, const std::vector<HeldFile>& files) {
  json::object shown;
  for (const HeldFile& file : files) shown[file.path] = file.content_id();
  return sys::write_file(directory / kShown, json::serialize(shown), 0600);
}

std::map<std::string, std::string> load_shown(const fs::path& directory) {
  std::map<std::string, std::string> shown;
  const auto text = sys::read_file(directory / kShown, 64 << 20);
  const auto o = text ? json::parse_object(*text, 64 << 20) : Result<json::object>(json::object{});
  if (!o) return shown;
  for (const auto& [path, content] : *o)
    if (content.is_string()) shown[std::string(path)] = std::string(content.get_string());
  return shown;
}

Result<> save_accepted(const fs::path& directory, const std::vector<HeldFile>& files) {
  auto accepted = load_accepted(directory);
  for (const HeldFile& file : files) {
    auto& ids = accepted[file.path];
    std::erase(ids, file.content_id());
    if (ids.size() >= kMaxAcceptedOfPath) ids.erase(ids.begin());
    ids.push_back(file.content_id());
  }
  json::object o;
  for (const auto& [path, ids] : accepted) {
    json::array list;
    for (const std::string& id : ids) list.emplace_back(id);
    o[path] = std::move(list);
  }
  return sys::write_file(directory / kAccepted, json::serialize(o), 0600);
}

std::map<std::string, std::vector<std::string>> load_accepted(const fs::path& directory) {
  std::map<std::string, std::vector<std::string>> accepted;
  const auto text = sys::read_file(directory / kAccepted, 64 << 20);
  const auto o = text ? json::parse_object(*text, 64 << 20) : Result<json::object>(json::object{});
  if (!o) return accepted;
  for (const auto& [path, ids] : *o) {
    if (!ids.is_array()) continue;
    for (const auto& id : ids.get_array())
      if (id.is_string()) accepted[std::string(path)].emplace_back(id.get_string());
  }
  return accepted;
}

Result<std::vector<HeldFile>> choose_held(const std::vector<HeldFile>& files, const std::map<std::string, std::string>& shown, const std::vector<std::string>& words) {
  std::map<std::string, HeldFile> chosen;
  for (const std::string& word : words) {
    bool met = false;
    for (const HeldFile& file : files) {
      if (file.path != word && !review::glob_matches(word, file.path)) continue;
      met = true;
      const auto seen = shown.find(file.path);
      if (seen == shown.end()) return fail(ErrorKind::kConflict, fmt::format("{} has not been shown yet", printable(file.path)), "look at it first: locki review");
      if (seen->second != file.content_id()) return fail(ErrorKind::kConflict, fmt::format("{} has changed since it was shown", printable(file.path)), "look at it again: locki review");
      chosen[file.path] = file;
    }
    if (!met) return fail(ErrorKind::kNotFound, fmt::format("nothing that is held is called {}", printable(word)), "locki review lists what is held");
  }
  std::vector<HeldFile> out;
  for (auto& [path, file] : chosen) out.push_back(std::move(file));
  return out;
}

}  // namespace locki::sandbox
