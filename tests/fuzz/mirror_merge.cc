// Fuzz target: what three states become. The input is a little language: flags, then two bytes a step that put an entry somewhere, or take it away, in the
// base, the host's or the sandbox's state. The promises are those of tests/property/reconcile_test.cc.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "property/reconcile_world.h"

namespace locki::mirror::testing {
namespace {

constexpr std::array<std::string_view, 16> kPaths{"a",   "a/a", "a/b", "a/a/a", "a/a/b", "a/b/c", "a-b", "a-b/c",
                                                  "a.b", "b",   "b/a", "b/a/c", "b/a/c/d", "c",   "c/a", "c/a/b"};

std::optional<Entry> entry_of(std::uint8_t code) {
  switch (code % 8) {
    case 0: return std::nullopt;
    case 1: return Entry::directory();
    case 2: return Entry::symlink(code & 8 ? "a" : "b");
    default: return file(std::string(code % 8, 'x'), (code & 8) != 0);
  }
}

// As a file system would: nothing beneath what is no directory, and parents are made.
void put(State& state, std::string_view path, const std::optional<Entry>& entry) {
  State next = state;
  if (!entry || entry->kind != EntryKind::kDirectory) {
    const auto [first, last] = beneath(next, path);
    next.erase(first, last);
  }
  if (entry) next.insert_or_assign(std::string(path), *entry);
  else next.erase(std::string(path));
  if (complete_parents(next)) state = std::move(next);
}

void nothing_is_lost(const World& before, const World& after) {
  std::set<Hash> safe = contents(after.host);
  safe.insert(after.kept.begin(), after.kept.end());
  safe.merge(contents(before.base));  // agreed states are in the history
  for (const State* side : {&before.host, &before.sandbox}) {
    for (const Hash& content : contents(*side)) promise(safe.contains(content));
  }
}

void the_humans_edits_stand(const World& before, const World& after) {
  for (const auto& [path, entry] : before.host) {
    if (entry.kind == EntryKind::kDirectory) continue;
    const auto base = before.base.find(path);
    if (base != before.base.end() && base->second.content == entry.content && base->second.kind == entry.kind) continue;
    const auto now = after.host.find(path);
    promise(now != after.host.end() && now->second.content == entry.content);
  }
}

void merge_target(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 2 || bytes.size() > 256) return;
  World before;
  before.merges = (bytes[0] & 1) != 0;
  const std::size_t limit = 1 + (bytes[0] >> 1) % 4, stop = bytes[1];
  bool sides_begin = false;  // the sides begin as the base is then
  for (std::size_t at = 2; at + 1 < bytes.size(); at += 2) {
    const std::uint8_t where = bytes[at] >> 4;
    State* const state = where % 4 == 0 ? &before.base : where % 2 == 1 ? &before.host : &before.sandbox;
    if (state != &before.base && !std::exchange(sides_begin, true)) before.host = before.sandbox = before.base;
    put(*state, kPaths[bytes[at] & 15], entry_of(bytes[at + 1]));
  }
  World whole = before;
  promise(whole.run() <= 1);
  promise(whole.host == whole.sandbox && whole.base == whole.host);
  nothing_is_lost(before, whole);
  if (!before.merges) the_humans_edits_stand(before, whole);

  World small = before;
  small.run(limit);
  promise(small.host == small.sandbox && contents(small.host) == contents(whole.host));

  // Killed somewhere in the middle, with the base on disk up to date or behind.
  World cut = before;
  const Plan plan = reconcile(cut.base, cut.host, cut.sandbox);
  for (std::size_t i = 0; i < plan.actions.size() && i < stop % (plan.actions.size() + 1); ++i) cut.carry_out(plan.actions[i]);
  if ((bytes[0] & 16) != 0) cut.base = before.base;
  cut.run();
  promise(cut.host == cut.sandbox);
}

}  // namespace
}  // namespace locki::mirror::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  locki::mirror::testing::merge_target({data, size});
  return 0;
}
