// Two sides and a base in memory, and what the mirror's executor does to them: for the property tests and the fuzz target of reconcile().
// A broken promise is an exception.
#pragma once

#include <set>
#include <source_location>
#include <stdexcept>
#include <string>

#include "mirror/reconcile.h"

namespace locki::mirror::testing {

inline void promise(bool holds, std::source_location where = std::source_location::current()) {
  if (!holds) throw std::logic_error("a promise is broken at line " + std::to_string(where.line()));
}

inline Entry file(const std::string& content, bool executable = false) { return Entry::file(content.size(), hash_of(content), executable); }

inline std::set<Hash> contents(const State& state) {
  std::set<Hash> out;
  for (const auto& [path, entry] : state) {
    if (entry.kind != EntryKind::kDirectory) out.insert(entry.content);
  }
  return out;
}

// What the executor does, in memory. Every step's precondition is checked as the appliers check it.
struct World {
  State base, host, sandbox;
  std::set<Hash> kept;  // contents in the history
  bool merges = true;   // whether text merges succeed

  static void change(State& side, const Action& action, const std::optional<Entry>& to) {
    const auto now = side.find(action.path);
    const std::optional<Entry> there = now == side.end() ? std::nullopt : std::optional<Entry>(now->second);
    promise(there == action.from);
    const auto [first, last] = beneath(side, action.path);
    const bool stays_directory = to && to->kind == EntryKind::kDirectory;
    if (!stays_directory) promise(first == last);
    if (to && !parent_of(action.path).empty()) {
      const auto parent = side.find(parent_of(action.path));
      promise(parent != side.end());
      promise(parent->second.kind == EntryKind::kDirectory);
    }
    mirror::apply(side, {action.path, to});
  }

  void settle(const Action& action, const std::optional<Entry>& to) {
    const auto h = host.find(action.path), s = sandbox.find(action.path);
    const bool same = (h == host.end()) == (s == sandbox.end()) && (h == host.end() || h->second == s->second);
    if (action.settles || same) mirror::apply(base, {action.path, to});
  }

  void carry_out(const Action& action) {
    if (action.keep && action.kind != Action::Kind::kMerge) kept.insert(action.keep->content);
    switch (action.kind) {
      case Action::Kind::kAdopt:
        mirror::apply(base, {action.path, action.to});
        return;
      case Action::Kind::kChangeHost:
        change(host, action, action.to);
        break;
      case Action::Kind::kChangeSandbox:
        change(sandbox, action, action.to);
        break;
      case Action::Kind::kMerge: {
        std::optional<Entry> result = action.from;
        if (merges) {
          result = *action.to;
          result->content = hash_of("merged " + action.from->content.to_hex() + action.keep->content.to_hex());
        }
        kept.insert(action.keep->content);
        kept.insert(action.from->content);
        mirror::apply(host, {action.path, result});
        mirror::apply(sandbox, {action.path, result});
        mirror::apply(base, {action.path, result});
        return;
      }
    }
    settle(action, action.to);
  }

  // Rounds until nothing is left; how many there were.
  int run(std::size_t limit = SIZE_MAX) {
    for (int rounds = 0;; ++rounds) {
      promise(rounds < 1000);
      const Plan plan = reconcile(base, host, sandbox, limit);
      if (plan.empty()) return rounds;
      for (const Action& action : plan.actions) {
        carry_out(action);
        promise(well_formed(host));
        promise(well_formed(sandbox));
      }
    }
  }
};

}  // namespace locki::mirror::testing
