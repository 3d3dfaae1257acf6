#include "mirror/recovery.h"

#include <algorithm>

namespace locki::mirror {
namespace {

using Maybe = std::optional<Entry>;

Maybe at(const State& state, const std::string& path) {
  const auto found = state.find(path);
  return found == state.end() ? std::nullopt : Maybe(found->second);
}

bool is_file(const Maybe& entry) { return entry && entry->kind == EntryKind::kFile; }

// Where on the trail a side stands.
struct Standing {
  enum class Kind { kKnown, kWork, kSuspect } kind = Kind::kKnown;
  std::ptrdiff_t index = 0;  // kKnown; -1: before all of them
  bool torn = false;
  bool known() const { return kind == Kind::kKnown; }
};

class Judge {
 public:
  Judge(const Trail& trail, const State& base, const State& host, const State& sandbox, const Doubts& doubts,
        const Looked& looked)
      : trail_(trail), base_(base), host_(host), sandbox_(sandbox), doubts_(doubts), looked_(looked) {}

  Recovery all() {
    std::set<std::string> paths;
    for (const auto& [path, versions] : trail_.paths()) paths.insert(path);
    for (const auto& [doubted, state] : {std::pair{doubts_.sandbox, &sandbox_}, {doubts_.host, &host_}}) {
      if (!doubted || !doubts_.all) continue;
      for (const Change& change : diff(base_, *state)) paths.insert(change.path);
    }
    for (const std::string& path : paths) one(path);
    return std::move(out_);
  }

 private:
  // A file's mode may have been written down when its content was not, or the other way round.
  static std::optional<std::ptrdiff_t> find(const EntryVersions& versions, const Maybe& shown) {
    auto found = versions.find(shown);
    if (!found && is_file(shown)) {
      Entry other = *shown;
      other.executable = !other.executable;
      found = versions.find(other);
    }
    return found ? std::optional(static_cast<std::ptrdiff_t>(*found)) : std::nullopt;
  }

  Standing stand(Side side, const std::string& path, const EntryVersions& versions, const Maybe& shown) {
    if (const auto found = find(versions, shown)) return {.index = *found};
    // No file system takes away what it had written down, but a rename that was under way may look like it.
    if (!shown) return {.index = -1};
    if (doubts_.all && doubts_.older && doubts_.older(path, *shown)) return {.index = -1};
    if (!is_file(shown)) return {.kind = Standing::Kind::kWork};
    std::uint64_t largest = 0;
    bool any = false;
    for (const auto& item : versions.items()) {
      if (!is_file(item.value)) continue;
      any = true;
      largest = std::max(largest, item.value->size);
    }
    if (!any || shown->size > largest || looked_.whole.contains({side, path})) return {.kind = Standing::Kind::kWork};
    if (shown->size == 0 || looked_.torn.contains({side, path})) return {.index = -1, .torn = true};
    return {.kind = Standing::Kind::kSuspect};
  }

  void one(const std::string& path) {
    const auto on_trail = trail_.paths().find(path);
    EntryVersions versions;
    if (on_trail != trail_.paths().end()) versions = on_trail->second;
    else versions.agree(at(base_, path), at(base_, path), 0);
    const Maybe host = at(host_, path), sandbox = at(sandbox_, path);
    const auto agreed = static_cast<std::ptrdiff_t>(versions.agreed());
    const Standing h = stand(Side::kHost, path, versions, host);
    const Standing s = stand(Side::kSandbox, path, versions, sandbox);
    bool open = false;
    const auto suspect = [&](bool doubted, const Standing& standing, Side side, const Maybe& shown) {
      if (!doubted || standing.kind != Standing::Kind::kSuspect) return;
      out_.suspects.push_back({side, path, *shown});
      open = true;
    };
    suspect(doubts_.host, h, Side::kHost, host);
    suspect(doubts_.sandbox, s, Side::kSandbox, sandbox);
    if (open) return;

    // Behind what was agreed, or behind what the other side has of it: what was noted as agreed may lag behind both.
    const auto fell = [&](bool doubted, const Standing& mine, const Standing& other) {
      return doubted && mine.known() && (mine.index < agreed || (other.known() && agreed < mine.index && mine.index < other.index));
    };
    const bool host_fell = fell(doubts_.host, h, s), sandbox_fell = fell(doubts_.sandbox, s, h);
    Fallen fallen{.path = path, .host = host_fell, .sandbox = sandbox_fell};
    fallen.torn = (host_fell && h.torn) || (sandbox_fell && s.torn);
    const bool both = doubts_.host && doubts_.sandbox;
    if (h.known() && s.known()) fallen.restore = newer_than(versions, std::max(h.index, s.index), !both);
    if (both && h.known() && s.known()) {
      if (fallen.restore.empty() && !host_fell && !sandbox_fell) return;
      // Without it the newer of the two stands: the base is the older one.
      fallen.base = h.index >= s.index ? sandbox : host;
    } else if (host_fell || sandbox_fell || !fallen.restore.empty()) {
      fallen.base = sandbox_fell || !host_fell ? sandbox : host;
    } else {
      return;
    }
    out_.fallen.push_back(std::move(fallen));
  }

  // The newest first, down to the one that a side still has. A deletion is nothing that comes back. `lost`: where one
  // side is as it was, only what it is known to have lost before.
  static std::vector<Entry> newer_than(const EntryVersions& versions, std::ptrdiff_t index, bool lost) {
    std::vector<Entry> out;
    for (auto i = static_cast<std::ptrdiff_t>(versions.items().size()) - 1; i > index; --i) {
      const auto& item = versions.items()[static_cast<std::size_t>(i)];
      if (!item.value) break;
      if (item.lost || !lost) out.push_back(*item.value);
    }
    return out;
  }

  const Trail& trail_;
  const State& base_;
  const State& host_;
  const State& sandbox_;
  const Doubts& doubts_;
  const Looked& looked_;
  Recovery out_;
};

}  // namespace

Recovery judge(const Trail& trail, const State& base, const State& host, const State& sandbox, const Doubts& doubts,
               const Looked& looked) {
  if (!doubts.any()) return {};
  return Judge(trail, base, host, sandbox, doubts, looked).all();
}

State rebased(const State& base, const std::vector<Fallen>& fallen) {
  State out = base;
  for (const Fallen& one : fallen) apply(out, {one.path, one.base});
  // Who shows a file shows the directories above it; that they were agreed may not have been noted.
  for (const Fallen& one : fallen) {
    if (!one.base) continue;
    for (std::string_view up = parent_of(one.path); !up.empty(); up = parent_of(up)) out.emplace(up, Entry::directory());
  }
  // What lies beneath something that is no directory (any more) was agreed by nobody.
  std::erase_if(out, [&](const auto& item) {
    for (std::string_view up = parent_of(item.first); !up.empty(); up = parent_of(up)) {
      const auto found = out.find(up);
      if (found == out.end() || found->second.kind != EntryKind::kDirectory) return true;
    }
    return false;
  });
  return out;
}

bool is_torn(std::string_view whole, std::string_view left) {
  constexpr std::size_t kBlock = 512;
  if (left.size() > whole.size()) return false;
  bool less = left.size() < whole.size();
  for (std::size_t from = 0; from < left.size(); from += kBlock) {
    const auto mine = left.substr(from, kBlock);
    if (mine == whole.substr(from, mine.size())) continue;
    if (mine.find_first_not_of('\0') != std::string_view::npos) return false;
    less = true;
  }
  return less;
}

}  // namespace locki::mirror
