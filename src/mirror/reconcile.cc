#include "mirror/reconcile.h"

#include <algorithm>

namespace locki::mirror {
namespace {

using Maybe = std::optional<Entry>;

Maybe copy(const Entry* entry) { return entry ? Maybe(*entry) : std::nullopt; }

bool same(const Entry* a, const Entry* b) { return a && b ? *a == *b : a == b; }

bool is_file(const Entry* entry) { return entry && entry->kind == EntryKind::kFile; }
bool is_directory(const Entry* entry) { return entry && entry->kind == EntryKind::kDirectory; }

// What a path shall be on both sides, before the tree as a whole is looked at.
struct Decision {
  const Entry* base = nullptr;
  const Entry* host = nullptr;
  const Entry* sandbox = nullptr;
  Maybe result;
  bool merge = false;  // contents differ on both sides and from the base: text merge
};

bool same_content(const Entry& a, const Entry& b) { return a.size == b.size && a.content == b.content; }

// Both sides changed a path to different things, and neither deleted it.
void decide_clash(Decision& d) {
  d.result = *d.host;
  if (!is_file(d.base) || !is_file(d.host) || !is_file(d.sandbox)) return;
  // One bit, so at most one side changed it.
  d.result->executable = d.host->executable == d.base->executable ? d.sandbox->executable : d.host->executable;
  if (same_content(*d.host, *d.base) && !same_content(*d.sandbox, *d.base)) {
    d.result->size = d.sandbox->size;
    d.result->content = d.sandbox->content;
  } else if (!same_content(*d.sandbox, *d.base) && !same_content(*d.host, *d.sandbox)) {
    d.merge = true;
  }
}

Decision decide(const Entry* base, const Entry* host, const Entry* sandbox) {
  Decision d{.base = base, .host = host, .sandbox = sandbox};
  if (same(host, sandbox) || same(sandbox, base)) {
    d.result = copy(host);
  } else if (same(host, base)) {
    d.result = copy(sandbox);
  } else if (!host || !sandbox) {
    d.result = copy(host);  // the human's deletion stands; the human's edit comes back
  } else {
    decide_clash(d);
  }
  return d;
}

using Decisions = std::map<std::string, Decision, std::less<>>;

Decisions decide_all(const State& base, const State& host, const State& sandbox) {
  Decisions out;
  auto b = base.begin();
  auto h = host.begin();
  auto s = sandbox.begin();
  // A three-way walk over sorted maps.
  while (b != base.end() || h != host.end() || s != sandbox.end()) {
    const std::string* path = nullptr;
    if (b != base.end()) path = &b->first;
    if (h != host.end() && (!path || h->first < *path)) path = &h->first;
    if (s != sandbox.end() && (!path || s->first < *path)) path = &s->first;
    const std::string key = *path;
    const Entry* eb = b != base.end() && b->first == key ? &b++->second : nullptr;
    const Entry* eh = h != host.end() && h->first == key ? &h++->second : nullptr;
    const Entry* es = s != sandbox.end() && s->first == key ? &s++->second : nullptr;
    // What nobody changed cannot come into anybody's way either: where it is a directory it stays one.
    if (!same(eh, es) || !same(eh, eb)) out.emplace_hint(out.end(), key, decide(eb, eh, es));
  }
  return out;
}

// Every path that will exist needs directories above it. Parents come before what is beneath them in the map's order,
// so the top is settled first; what is made a directory here cannot conflict with its own parents, since those are
// directories already.
void settle_tree(Decisions& decisions) {
  for (auto at = decisions.begin(); at != decisions.end(); ++at) {
    Decision& top = at->second;
    if (is_directory(top.result ? &*top.result : nullptr)) continue;
    if (!is_directory(top.host) && !is_directory(top.sandbox)) continue;  // nothing lies beneath it on any side
    const std::string first = at->first + '/';
    const std::string end = at->first + static_cast<char>('/' + 1);
    const auto from = decisions.lower_bound(first);
    const auto to = decisions.lower_bound(end);
    const bool needed = std::any_of(from, to, [](const auto& item) { return item.second.result.has_value(); });
    if (!needed) continue;
    top.merge = false;
    if (!top.result) {
      // Gone on one side, but there is something new or edited beneath it.
      top.result = Entry::directory();
    } else if (same(top.host, &*top.result)) {
      // The human has something else than a directory here: nothing of theirs is beneath it.
      for (auto it = from; it != to; ++it) it->second.result.reset(), it->second.merge = false;
    } else {
      // The agent has: what is beneath is the human's. Directories have no content, so the directory stands.
      top.result = Entry::directory();
    }
  }
}

// The agent's version goes and is its own work: not what was agreed, and not what the host has.
Maybe to_keep(const Decision& d) {
  const bool has_content = d.sandbox && !is_directory(d.sandbox);
  if (!has_content || same(d.sandbox, d.base) || same(d.sandbox, d.host)) return std::nullopt;
  if (d.result && d.result->kind == d.sandbox->kind && same_content(*d.result, *d.sandbox)) return std::nullopt;
  return *d.sandbox;
}

struct Lists {
  std::vector<Action> removals, changes;
};

void add_actions(Lists& lists, const std::string& path, const Decision& d) {
  const Entry* result = d.result ? &*d.result : nullptr;
  if (d.merge) {
    lists.changes.push_back({Action::Kind::kMerge, path, copy(d.host), d.result, *d.sandbox, false});
    return;
  }
  const bool host_differs = !same(d.host, result);
  const bool sandbox_differs = !same(d.sandbox, result);
  if (!host_differs && !sandbox_differs) {
    if (!same(d.base, result))
      lists.changes.push_back({Action::Kind::kAdopt, path, std::nullopt, d.result, std::nullopt, true});
    return;
  }
  const bool settles = host_differs != sandbox_differs;
  const auto add = [&](Action::Kind kind, const Entry* from, Maybe keep) {
    // What turns from a directory into something else, or back, is removed first and made afterwards: with what lies
    // beneath it, the order of removals does the rest.
    const bool replaces_directory = from && result && is_directory(from) != is_directory(result);
    if (!result || replaces_directory) lists.removals.push_back({kind, path, *from, std::nullopt, keep, settles});
    if (!result) return;
    if (replaces_directory) keep.reset(), from = nullptr;
    lists.changes.push_back({kind, path, copy(from), d.result, std::move(keep), settles});
  };
  if (host_differs) add(Action::Kind::kChangeHost, d.host, std::nullopt);
  if (sandbox_differs) add(Action::Kind::kChangeSandbox, d.sandbox, to_keep(d));
}

}  // namespace

Plan reconcile(const State& base, const State& host, const State& sandbox, std::size_t limit) {
  Decisions decisions = decide_all(base, host, sandbox);
  settle_tree(decisions);
  Lists lists;
  for (const auto& [path, decision] : decisions) add_actions(lists, path, decision);
  // The map's order has parents first; removals go the other way round.
  Plan plan;
  plan.actions.assign(lists.removals.rbegin(), lists.removals.rend());
  plan.actions.insert(plan.actions.end(), lists.changes.begin(), lists.changes.end());
  if (plan.actions.size() > limit) plan.actions.resize(limit);
  return plan;
}

bool well_formed(const State& state) {
  return std::all_of(state.begin(), state.end(), [&](const auto& item) {
    const std::string_view parent = parent_of(item.first);
    if (parent.empty()) return true;
    const auto found = state.find(parent);
    return found != state.end() && found->second.kind == EntryKind::kDirectory;
  });
}

bool complete_parents(State& state) {
  std::vector<std::string> missing;
  for (const auto& [path, entry] : state) {
    for (std::string_view parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
      const auto found = state.find(parent);
      if (found == state.end()) {
        missing.emplace_back(parent);
      } else if (found->second.kind != EntryKind::kDirectory) {
        return false;
      } else {
        break;
      }
    }
  }
  for (std::string& path : missing) state.emplace(std::move(path), Entry::directory());
  return true;
}

}  // namespace locki::mirror
