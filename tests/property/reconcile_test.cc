#include "mirror/reconcile.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "property/reconcile_world.h"

namespace locki::mirror {
namespace {

using testing::contents;
using testing::file;
using testing::World;

// Small alphabets, so that the same paths meet.
rc::Gen<Entry> gen_entry() {
  return rc::gen::oneOf(rc::gen::map(rc::gen::pair(rc::gen::inRange(0, 4), rc::gen::arbitrary<bool>()),
                                     [](const std::pair<int, bool>& p) {
                                       return file(std::string(static_cast<std::size_t>(p.first), 'x'), p.second);
                                     }),
                        rc::gen::just(Entry::directory()),
                        rc::gen::map(rc::gen::inRange(0, 2), [](int n) { return Entry::symlink(n == 0 ? "a" : "b"); }));
}

rc::Gen<State> gen_state() {
  const auto path =
      rc::gen::element<std::string>("a", "a/a", "a/b", "a/a/a", "a/a/b", "a-b", "b", "b/a", "b/a/c", "c", "a/b/c");
  return rc::gen::map(rc::gen::container<std::vector<std::pair<std::string, Entry>>>(rc::gen::pair(path, gen_entry())),
                      [](const std::vector<std::pair<std::string, Entry>>& items) {
                        State state;
                        for (const auto& [name, entry] : items) {
                          State next = state;
                          next.insert_or_assign(name, entry);
                          const auto [first, last] = beneath(next, name);
                          if (entry.kind != EntryKind::kDirectory && first != last) continue;
                          if (complete_parents(next)) state = std::move(next);
                        }
                        return state;
                      });
}

// Base and two sides that each differ from it in a few places: nearer to life than three unrelated states.
struct Triple {
  State base, host, sandbox;
};
Triple any_triple() {
  const auto side = [](const State& base) {
    if (*rc::gen::inRange(0, 3) == 0) return *gen_state();
    State out = base;
    for (const auto& [path, entry] : *gen_state()) {
      if (*rc::gen::arbitrary<bool>()) continue;
      State next = out;
      if (*rc::gen::arbitrary<bool>()) {
        next.insert_or_assign(path, entry);
        const auto [first, last] = beneath(next, path);
        if (entry.kind != EntryKind::kDirectory) next.erase(first, last);
      } else {
        next.erase(path);
        const auto [first, last] = beneath(next, path);
        next.erase(first, last);
      }
      if (complete_parents(next)) out = std::move(next);
    }
    return out;
  };
  Triple triple{*gen_state(), {}, {}};
  triple.host = side(triple.base);
  triple.sandbox = side(triple.base);
  return triple;
}

World world_of(const Triple& t) { return World{t.base, t.host, t.sandbox, {}, *rc::gen::arbitrary<bool>()}; }

RC_GTEST_PROP(Reconcile, BothSidesEndUpTheSame, ()) {
  World world = world_of(any_triple());
  world.run();
  RC_ASSERT(world.host == world.sandbox);
  RC_ASSERT(world.base == world.host);
}

RC_GTEST_PROP(Reconcile, OneRoundIsEnough, ()) {
  World world = world_of(any_triple());
  RC_ASSERT(world.run() <= 1);
}

RC_GTEST_PROP(Reconcile, SmallRoundsEndInTheSamePlace, ()) {
  World world = world_of(any_triple());
  World small = world;
  world.run();
  small.run(*rc::gen::inRange<std::size_t>(1, 4));
  RC_ASSERT(small.host == small.sandbox);
  // Directories that a cut round left standing may differ; contents may not.
  RC_ASSERT(contents(small.host) == contents(world.host));
}

RC_GTEST_PROP(Reconcile, NothingIsLost, ()) {
  const Triple before = any_triple();
  World world = world_of(before);
  world.run();
  std::set<Hash> safe = contents(world.host);
  safe.merge(std::set<Hash>(world.kept));
  safe.merge(contents(before.base));  // agreed states are in the history
  for (const State* side : {&before.host, &before.sandbox}) {
    for (const Hash& content : contents(*side)) RC_ASSERT(safe.contains(content));
  }
}

// The human's own edits are never replaced by anything but a merge that contains them.
RC_GTEST_PROP(Reconcile, TheHumansEditsStand, ()) {
  const Triple before = any_triple();
  World world = world_of(before);
  world.merges = false;
  world.run();
  for (const auto& [path, entry] : before.host) {
    const auto base = before.base.find(path);
    const bool edited =
        base == before.base.end() || base->second.content != entry.content || base->second.kind != entry.kind;
    if (!edited || entry.kind == EntryKind::kDirectory) continue;
    RC_ASSERT(world.host.contains(path));
    RC_ASSERT(world.host.at(path).content == entry.content);
  }
}

RC_GTEST_PROP(Reconcile, OneSidedChangesAreCarriedExactly, ()) {
  const State base = *gen_state();
  const State changed = *gen_state();
  World from_host{base, changed, base, {}};
  from_host.run();
  RC_ASSERT(from_host.sandbox == changed);
  RC_ASSERT(from_host.kept.empty());
  World from_sandbox{base, base, changed, {}};
  from_sandbox.run();
  RC_ASSERT(from_sandbox.host == changed);
}

RC_GTEST_PROP(Reconcile, KilledAnywhereItStillConverges, ()) {
  const Triple before = any_triple();
  World world = world_of(before);
  const State base = world.base;
  const Plan plan = reconcile(world.base, world.host, world.sandbox);
  if (plan.empty()) return;
  const auto stop = *rc::gen::inRange<std::size_t>(0, plan.actions.size());
  for (std::size_t i = 0; i < stop; ++i) world.carry_out(plan.actions[i]);
  // The base on disk may lag behind.
  if (*rc::gen::arbitrary<bool>()) world.base = base;
  world.run();
  RC_ASSERT(world.host == world.sandbox);
}

// ---- by hand ----

TEST(Reconcile, Table) {
  const State base{{"f", file("old")}};
  const auto plan = [&](const State& host, const State& sandbox) { return reconcile(base, host, sandbox).actions; };
  const State gone, edited{{"f", file("agent")}}, mine{{"f", file("human")}};

  auto actions = plan(base, edited);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, Action::Kind::kChangeHost);

  actions = plan(edited, edited);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, Action::Kind::kAdopt);

  actions = plan(mine, edited);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, Action::Kind::kMerge);
  EXPECT_EQ(actions[0].keep, file("agent"));

  // The human deleted, the agent edited: the deletion stands.
  actions = plan(gone, edited);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, Action::Kind::kChangeSandbox);
  EXPECT_EQ(actions[0].to, std::nullopt);
  EXPECT_EQ(actions[0].keep, file("agent"));

  // The agent deleted, the human edited: the edit comes back.
  actions = plan(mine, gone);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(actions[0].kind, Action::Kind::kChangeSandbox);
  EXPECT_EQ(actions[0].to, file("human"));
  EXPECT_EQ(actions[0].keep, std::nullopt);
}

TEST(Reconcile, ModeAndContentMerge) {
  const State base{{"f", file("old")}};
  const State host{{"f", file("old", true)}}, sandbox{{"f", file("new")}};
  World world{base, host, sandbox, {}};
  world.run();
  EXPECT_EQ(world.host.at("f"), file("new", true));
  EXPECT_TRUE(world.kept.empty());
}

TEST(Reconcile, AgentReplacesADirectoryTheHumanWritesIn) {
  const State base{{"d", Entry::directory()}, {"d/x", file("x")}};
  State host = base;
  host["d/x"] = file("human");
  const State sandbox{{"d", file("agent")}};
  World world{base, host, sandbox, {}};
  world.run();
  EXPECT_EQ(world.host.at("d/x"), file("human"));
  EXPECT_TRUE(world.kept.contains(hash_of("agent")));
}

TEST(Reconcile, HumanReplacesADirectoryTheAgentWritesIn) {
  const State base{{"d", Entry::directory()}, {"d/x", file("x")}};
  const State host{{"d", file("human")}};
  State sandbox = base;
  sandbox["d/new"] = file("agent");
  World world{base, host, sandbox, {}};
  world.run();
  EXPECT_EQ(world.sandbox, host);
  EXPECT_TRUE(world.kept.contains(hash_of("agent")));
}

TEST(Reconcile, FirstContactHasNoBase) {
  const State host{{"f", file("human")}, {"same", file("s")}},
      sandbox{{"f", file("agent")}, {"same", file("s")}, {"new", file("n")}};
  World world{{}, host, sandbox, {}};
  world.run();
  EXPECT_EQ(world.host.at("f"), file("human"));
  EXPECT_EQ(world.host.at("new"), file("n"));
  EXPECT_TRUE(world.kept.contains(hash_of("agent")));
}

TEST(State, DiffAndApplyAreInverse) {
  const State from{{"a", file("1")}, {"b", file("2")}}, to{{"b", file("3")}, {"c", Entry::directory()}};
  State state = from;
  mirror::apply(state, diff(from, to));
  EXPECT_EQ(state, to);
  EXPECT_TRUE(diff(to, to).empty());
}

}  // namespace
}  // namespace locki::mirror
