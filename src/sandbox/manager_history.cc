// Manager: what the sandboxes of one repository have in common comes into the VM once (history_volume.h).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "git/shallow.h"
#include "sandbox/history_volume.h"
#include "sandbox/manager.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

// Of one repository, for branches that have grown apart.
constexpr std::size_t kMostHistories = 3;
// Waiting for longer is told.
constexpr std::chrono::milliseconds kUnnoticed{500};

// A commit that is gone from the repository is reached by nothing.
bool reaches(const git::Repository& repository, const std::string& tip, const std::string& commit) {
  return repository.is_ancestor(commit, tip).value_or(false);
}

}  // namespace

std::vector<StoredHistory> Manager::histories_of(const Record& record, const Config& config) const {
  std::vector<StoredHistory> found;
  for (auto& history : histories_.all()) {
    if (history.git_dir == record.git_dir && history.max_history == config.max_history) found.push_back(std::move(history));
  }
  return found;
}

// Where a new history ends: at the branch's tip, or where the branch left what other branches have, so that the new one serves them all.
std::string Manager::end_of_new_history(const git::Repository& repository, const std::string& tip, const std::vector<StoredHistory>& known, std::uint64_t share_from) {
  for (const auto& history : known) {
    const auto common = repository.merge_bases(tip, history.tip);
    if (!common || common->size() != 1) continue;
    const auto difference = git::difference_bytes(repository, tip, common->front());
    if (difference && *difference <= most_difference(history.bytes, share_from)) return common->front();
  }
  return tip;
}

Result<StoredHistory> Manager::make_history(incus::Client& client, const Record& record, const git::Repository& repository, const std::string& end, const Config& config, const ProgressSink& progress) {
  StoredHistory made{.volume = std::string(kHistoryVolumePrefix) + random_hex(8), .git_dir = record.git_dir, .tip = end, .max_history = config.max_history};
  TRY_ASSIGN(const git::History history, git::newest_history(repository, end, config.max_history));
  made.boundary = history.boundary;
  const fs::path outgoing = paths_.state / "outgoing-history";  // one at a time
  TRY(sys::remove_tree(outgoing));
  TRY(sys::make_directories(outgoing, 0700));
  auto filled = [&]() -> Result<> {
    git::HistoryPack pack;
    {
      Phase phase(progress, "history.pack", "Packing the repository's history (once for its sandboxes)");
      TRY_ASSIGN(pack, git::write_history_pack(repository, end, history.boundary, outgoing));
    }
    made.bytes = pack.bytes;
    Phase phase(progress, "history.fill", fmt::format("Bringing {} of history into the VM (once for the repository's sandboxes)", human_bytes(pack.bytes)));
    TRY(histories_.add(made));
    TRY(fill_history(client, made.volume, pack, record.instance));
    return histories_.note_ready(made.volume, made.bytes);
  }();
  if (auto cleared = sys::remove_tree(outgoing); !cleared) log::warning("{}", cleared.error().describe());
  made.ready = filled.has_value();
  if (filled) return made;
  drop_history(client, made.volume);
  return fail(std::move(filled).error());
}

void Manager::drop_history(incus::Client& client, const std::string& volume) {
  if (auto off = histories_.remove(volume); !off) return log::warning("{}", off.error().describe());
  if (auto gone = client.delete_volume(kPool, volume); !gone) {
    log::warning("the volume {}: {}", volume, gone.error().describe());
    sweep_again();
  }
}

void Manager::drop_replaced(incus::Client& client, const git::Repository& repository, const StoredHistory& by, std::vector<StoredHistory> known) {
  // What one of them has, the newer one has as well, or all sandboxes of the other may begin from this.
  std::erase_if(known, [&](const StoredHistory& history) {
    const bool replaced = reaches(repository, by.tip, history.tip) || reaches(repository, history.tip, by.tip);
    if (replaced) drop_history(client, history.volume);
    return replaced;
  });
  for (std::size_t i = 0; i + kMostHistories <= known.size(); ++i) drop_history(client, known[i].volume);
}

Result<std::optional<StoredHistory>> Manager::bring_shared_history(incus::Client& client, const Record& record, const git::Repository& repository, const Config& config, const ProgressSink& progress) {
  std::optional<StoredHistory> none;
  TRY_ASSIGN(const std::uint64_t stored, git::stored_bytes(repository));
  if (stored < config.share_history) return none;
  // Where it ends may change at any time, and with it what the two sides have in common.
  TRY_ASSIGN(const auto own_boundary, git::read_boundary(repository.common_dir() / "shallow"));
  if (!own_boundary.empty()) return none;
  std::unique_lock one(histories_mutex_, kUnnoticed);
  if (!one) {
    Phase phase(progress, "history.wait", "Waiting for another sandbox that brings its history into the VM");
    one.lock();
  }
  auto brought = [&]() -> Result<std::optional<StoredHistory>> {
    TRY_ASSIGN(const std::string tip, repository.resolve("refs/heads/" + record.name));
    const auto known = histories_of(record, config);
    std::vector<Candidate> candidates;
    for (const auto& history : known) {
      Candidate candidate{.reached = reaches(repository, tip, history.tip)};
      if (candidate.reached) {
        TRY_ASSIGN(candidate.difference, git::difference_bytes(repository, tip, history.tip));
      }
      candidates.push_back(candidate);
    }
    if (const auto best = choose(known, candidates, config.share_history)) {
      Phase phase(progress, "history", "Sharing the repository's history");
      auto there = bring_history(client, known[*best].volume, record.instance);
      if (there) return known[*best];
      if (there.error().kind() != ErrorKind::kNotFound) return fail(std::move(there).error());
      TRY(histories_.remove(known[*best].volume));  // of another data disk
    }
    TRY_ASSIGN(const StoredHistory made, make_history(client, record, repository, end_of_new_history(repository, tip, known, config.share_history), config, progress));
    Phase phase(progress, "history", "Sharing the repository's history");
    TRY(bring_history(client, made.volume, record.instance));
    drop_replaced(client, repository, made, known);
    return made;
  }();
  if (brought) return brought;
  // It only saves time. But a container that can write to what others begin from is given to nobody.
  TRY(context(detach_history(client, record.instance), "while letting go of the history's volume"));
  report(progress, {ProgressEvent::Kind::kWarning, "history", "the history goes in without being shared: " + brought.error().describe(), std::nullopt});
  return none;
}

void Manager::sweep_histories(incus::Client& client) {
  // Whoever holds it works on them, and will have left some.
  const std::unique_lock one(histories_mutex_, std::try_to_lock);
  if (!one) return sweep_again();
  std::vector<std::string> broken;
  const auto records = records_.list(&broken);
  if (!records || !broken.empty()) return;
  std::set<std::string> wanted;
  for (const auto& record : *records) wanted.insert(record.git_dir);
  std::set<std::string> kept;
  for (const auto& history : histories_.all()) {
    if (wanted.contains(history.git_dir)) kept.insert(history.volume);
    else if (auto off = histories_.remove(history.volume); !off) return log::warning("{}", off.error().describe());
  }
  const auto volumes = client.list_volumes(kPool);
  if (!volumes) return log::warning("{}", volumes.error().describe());
  for (const auto& volume : *volumes) {
    if (!volume.name.starts_with(kHistoryVolumePrefix) || kept.contains(volume.name)) continue;
    log::info("removing the volume {}: no sandbox needs it", printable(volume.name));
    if (auto gone = client.delete_volume(kPool, volume.name); !gone) log::warning("{}", gone.error().describe());
  }
}

}  // namespace locki::sandbox
