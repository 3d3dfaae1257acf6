// Held files: showing them, letting them in.
#include "base/log.h"
#include "mirror/held.h"
#include "review/hold_rules.h"
#include "sandbox/held_report.h"
#include "sandbox/manager.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kSyncTime{120'000};

}  // namespace

Result<> Manager::add_hold_rules(mirror::StartSettings& settings, const Config& config, const git::Repository& repository) const {
  TRY_ASSIGN(settings.hold_rules, context(sys::read_file(installation_.share / "review" / "held.rules", 1 << 20), "while reading which files are held"));
  settings.hold = config.review_hold;
  settings.allow = config.review_allow;
  // Where this user's git looks for hooks, if that is in the worktree: a relative path counts from its root (githooks(5)).
  TRY_ASSIGN(const std::string hooks, repository.config("core.hooksPath"));
  const std::string inside = fs::path(hooks).lexically_normal().generic_string();
  if (inside.empty() || inside.front() == '/' || inside.front() == '~' || inside.starts_with("..") || inside == ".") return {};
  review::HoldRules check;
  if (check.hold("/" + inside, "hooks")) settings.hold.push_back("/" + inside);
  return {};
}

std::vector<mirror::HeldFile> Manager::held_files(const Record& record) const {
  auto files = mirror::HeldStore::read(records_.directory_of(record.id) / "mirror");
  return files ? std::move(*files) : std::vector<mirror::HeldFile>{};
}

std::vector<std::string> Manager::left_inside(const Record& record, const git::Repository& repository, const json::object& sync_reply) const {
  std::vector<std::string> lines;
  const auto tip = repository.ref("refs/heads/" + record.name);
  for (const auto& file : held_files(record)) {
    if (tip && *tip) {
      const auto committed = repository.file_at(**tip, file.path);
      if (committed && *committed && hash_of(**committed) == file.entry.content) continue;  // on the branch, which stays
    }
    lines.push_back("held at the door: " + printable(file.path));
  }
  const std::string refused = mirrors_.status(record.id).refused;
  if (!refused.empty()) lines.push_back("commits that were refused: " + refused);
  if (const auto branch = json::string_or(sync_reply, "branch"); !branch.empty()) lines.push_back("commits that cannot come out: " + printable(branch));
  if (const auto* blocked = json::array_or_null(sync_reply, "blocked")) {
    for (const auto& item : *blocked) {
      if (!item.is_object()) continue;
      lines.push_back("only inside: " + printable(json::string_or(item.get_object(), "path")) + " (" + printable(json::string_or(item.get_object(), "text")) + ")");
    }
  }
  return lines;
}

Result<json::object> Manager::review(const ReviewRequest& request, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(request.where));
  const std::shared_lock awake(life_);
  if (!request.branch.empty()) {
    // It is here, and nothing of it is held.
    TRY_ASSIGN(auto reply, findings(record, "", request.branch));
    reply["held"] = json::array{};
    return reply;
  }
  if (!request.into.empty()) {
    TRY(bring_out(record, progress));
  } else if (is_up(record.id)) {
    // What is held when it is at rest, or when its mirror is closed, is what was held when that last ran.
    if (auto synced = mirrors_.sync(record.id, kSyncTime); !synced) log::info("review of {}: {}", record.name, synced.error().describe());
  }
  TRY_ASSIGN(auto reply, findings(record, request.into));
  reply["held"] = json::array{};
  // A merge does not bring, and does not show, what is only at the door.
  if (!request.into.empty()) return reply;
  const fs::path directory = records_.directory_of(record.id);
  TRY_ASSIGN(const auto files, mirror::HeldStore::read(directory / "mirror"));
  TRY_ASSIGN(reply["held"], report_held(files, directory / "mirror", record.worktree, git_));
  TRY(save_shown(directory, files));
  return reply;
}

Result<json::array> Manager::accept_held(const Where& where, const std::vector<std::string>& words, const ProgressSink& progress) {
  TRY_ASSIGN(Record record, find(where));
  const std::shared_lock awake(life_);
  {
    TRY_ASSIGN(const auto held, hold(record));
    TRY(bring_up(record, progress));
  }
  TRY(mirrors_.sync(record.id, kSyncTime));
  const fs::path directory = records_.directory_of(record.id);
  TRY_ASSIGN(const auto files, mirror::HeldStore::read(directory / "mirror"));
  TRY_ASSIGN(const auto chosen, choose_held(files, load_shown(directory), words));
  json::array wanted, accepted;
  for (const auto& file : chosen) {
    wanted.push_back(json::object{{"path", file.path}, {"content", file.content_id()}});
    accepted.emplace_back(file.path);
  }
  // The worker compares once more: what it carries afterwards is exactly this content.
  TRY(mirrors_.ask(record.id, {{"request", "accept"}, {"files", std::move(wanted)}}, kSyncTime));
  TRY(mirrors_.sync(record.id, kSyncTime));
  TRY(save_accepted(directory, chosen));
  return accepted;
}

}  // namespace locki::sandbox
