// Two sides in memory, random work on both, each thrown back at random to anything it has had since it was last flushed,
// and the worker killed anywhere. What was agreed and not touched since is there in the end, on both sides.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/strings.h"
#include "mirror/recovery.h"
#include "mirror/trail.h"
#include "reconcile_world.h"

namespace locki::mirror::testing {
namespace {

using Maybe = std::optional<Entry>;

Maybe at(const State& state, const std::string& path) {
  const auto found = state.find(path);
  return found == state.end() ? std::nullopt : Maybe(found->second);
}

// What the base store keeps, in memory.
struct Book {
  State base;
  Trail trail;
  void agree(const std::string& path, const Maybe& entry) {
    trail.agree(path, at(base, path), entry);
    apply(base, {path, entry});
  }
};

// One side: what it shows, and all that its disk may show after a crash.
struct Disk {
  State now;
  std::vector<State> since{State()};  // the first is what was flushed
  void flush() { since = {now}; }
  void change(const std::string& path, const Maybe& entry) {
    apply(now, {path, entry});
    since.push_back(now);
  }
};

constexpr const char* kPaths[] = {"a", "b", "d/a", "d/b", "d/e/a", "d/e/b", "f/a"};
constexpr std::uint64_t kTornSize = 1;

class Model {
 public:
  // `knows`: what is noted for it is used after a crash; else the ordinary rules alone decide, as they once did.
  explicit Model(unsigned seed, bool knows = true) : random_(seed), knows_(knows) {}

  void run() {
    for (int step = 0; step < 40; ++step) {
      switch (pick(10)) {
        case 0:
        case 1:
        case 2: edit(host_); break;
        case 3:
        case 4: edit(sandbox_); break;
        case 5:
        case 6: round(pick(8)); break;
        case 7: round(1000); break;
        case 8: flush(); break;
        default: crash();
      }
      promise(well_formed(book_.base));
    }
    settle();
    promise(host_.now == sandbox_.now);
    promise(host_.now == book_.base);
    for (const auto& [path, entry] : untouched_) {
      // A file that was agreed to be gone and that both disks have again is nobody's loss.
      if (!entry && lost_on_both_) continue;
      // Nor is a directory that something has come to again.
      if (!entry && at(host_.now, path) == Entry::directory()) continue;
      if (at(host_.now, path) != entry) throw std::logic_error("what was agreed at " + path + " is not there: " + said_);
    }
  }

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }

  void touch(const std::string& path) {
    std::erase_if(untouched_, [&](const auto& item) {
      return item.first == path || is_beneath(item.first, path) || is_beneath(path, item.first);
    });
  }

  void edit(Disk& disk) {
    const std::string path = kPaths[pick(std::size(kPaths))];
    said_ += (&disk == &host_ ? " host:" : " sandbox:") + path;
    touch(path);
    if (pick(4) == 0) {
      if (at(disk.now, path)) disk.change(path, std::nullopt);
      const std::string parent(parent_of(path));
      const auto [first, last] = beneath(disk.now, parent);
      if (!parent.empty() && first == last && at(disk.now, parent) && pick(2) == 0) touch(parent), disk.change(parent, std::nullopt);
      return;
    }
    for (auto up = path.find('/'); up != std::string::npos; up = path.find('/', up + 1)) {
      const std::string parent = path.substr(0, up);
      if (!at(disk.now, parent)) disk.change(parent, Entry::directory());
    }
    Entry entry = file("version " + std::to_string(++number_), pick(4) == 0);
    disk.change(path, entry);
  }

  void intend(const std::string& path, const Maybe& entry) {
    book_.trail.intend(path, at(book_.base, path), entry);
    if (entry) noted_.insert({path, entry->content});
  }

  void agreed(const std::string& path, const Maybe& entry) {
    if (entry) noted_.insert({path, entry->content});
    book_.agree(path, entry);
    books_.push_back(book_);
    if (entry) history_.insert({path, entry->content});
    if (entry && entry->kind == EntryKind::kDirectory) return;
    const auto [known, first] = untouched_.emplace(path, entry);
    const bool deletion_came_back = !known->second && lost_on_both_;
    if (!first && known->second != entry && !deletion_came_back) throw std::logic_error("undone without anybody's doing: " + path + (entry ? " has come back" : " has gone") + said_);
    known->second = entry;
  }

  // At most `most` actions of a plan, then the worker is killed; perhaps before it has noted the last one.
  void round(std::size_t most) {
    const Plan plan = reconcile(book_.base, host_.now, sandbox_.now);
    for (const Action& action : plan.actions)
      if (action.kind != Action::Kind::kAdopt) intend(action.path, wanted(action));
    for (const Action& action : plan.actions)
      if (action.kind == Action::Kind::kAdopt) agreed(action.path, action.to);
    books_ = {book_};  // it is on disk before anything is done
    for (const Action& action : plan.actions) {
      if (action.kind == Action::Kind::kAdopt) continue;
      if (most == 0) return;
      --most;
      if (action.from && action.from->kind != EntryKind::kDirectory) history_.insert({action.path, action.from->content});
      if (action.keep) history_.insert({action.path, action.keep->content});
      const Maybe to = wanted(action);
      if (action.kind == Action::Kind::kChangeHost || action.kind == Action::Kind::kMerge) host_.change(action.path, to);
      if (action.kind == Action::Kind::kChangeSandbox || action.kind == Action::Kind::kMerge) sandbox_.change(action.path, to);
      if (most == 0 && pick(2) == 0) return;
      if (at(host_.now, action.path) == at(sandbox_.now, action.path)) agreed(action.path, to);
      else if (action.settles) book_.agree(action.path, to);
    }
    said_ += " round";
  }

  // No text merges: the host's version stands.
  static Maybe wanted(const Action& action) { return action.kind == Action::Kind::kMerge ? action.from : action.to; }

  void flush() {
    host_.flush();
    sandbox_.flush();
    book_.trail.durable(book_.trail.position(), reconcile(book_.base, host_.now, sandbox_.now).empty());
    books_ = {book_};
    said_ += " flush";
  }

  void throw_back(Disk& disk, bool by_path) {
    const std::vector<State> had = disk.since;
    State shown = had[pick(had.size())];
    // A file system that keeps no order among files: each shows anything it has been.
    if (by_path) {
      for (const char* path : kPaths) {
        const Maybe other = at(had[pick(had.size())], path);
        const std::string parent(parent_of(path));
        const bool fits = parent.empty() || at(shown, parent);
        if (fits) apply(shown, {path, other});
      }
    }
    for (auto& [path, entry] : shown) {
      if (entry.kind != EntryKind::kFile || entry.size <= kTornSize || pick(6) != 0 || at(had.front(), path) == entry) continue;
      if (!noted_.contains({path, entry.content})) touch(path);
      // Not written down whole: empty, or shorter.
      entry = pick(2) == 0 ? Entry::file(0, hash_of("")) : Entry::file(kTornSize, hash_of("torn"));
    }
    disk.now = shown;
    disk.since = {shown};
    // A version that came and went before the other side heard of it is work like any other.
    for (const auto& [path, entry] : shown)
      if (entry.kind == EntryKind::kFile && entry.size > kTornSize && !noted_.contains({path, entry.content})) touch(path);
  }

  void crash() {
    Doubts doubts{.host = pick(3) == 0, .sandbox = true};
    if (pick(4) == 0) doubts = {.host = true, .sandbox = pick(2) == 0};
    if (doubts.sandbox) throw_back(sandbox_, pick(3) == 0);
    if (doubts.host) {
      throw_back(host_, pick(2) == 0);
      book_ = books_[pick(books_.size())];
    }
    crashed_.host |= doubts.host, crashed_.sandbox |= doubts.sandbox;
    lost_on_both_ |= crashed_.host && crashed_.sandbox;  // also one after the other
    said_ += doubts.host ? (doubts.sandbox ? " BOTH" : " HOST") : " SANDBOX";
    // Somebody works before the mirror is back.
    if (pick(3) == 0) edit(host_);
    if (pick(3) == 0) edit(sandbox_);
    if (knows_) recover(doubts);
    // Where the host's end does not end the sandbox, the one that was not hit is there until it has given what it has.
    if (!doubts.sandbox) settle();
  }

  void settle() {
    while (!reconcile(book_.base, host_.now, sandbox_.now).empty()) round(1000);
  }

  void recover(const Doubts& doubts) {
    Recovery found = judge(book_.trail, book_.base, host_.now, sandbox_.now, doubts);
    Looked looked;
    for (const Suspect& suspect : found.suspects)
      (suspect.shown.size == kTornSize ? looked.torn : looked.whole).insert({suspect.side, suspect.path});
    found = judge(book_.trail, book_.base, host_.now, sandbox_.now, doubts, looked);
    promise(found.suspects.empty());
    for (Fallen& one : found.fallen) {
      for (const Entry& entry : one.restore) {
        const bool kept = entry.kind == EntryKind::kDirectory || history_.contains({one.path, entry.content});
        if (!kept || !restore(one.path, entry)) continue;
        one.base = at(sandbox_.now, one.path);
        break;
      }
    }
    book_.base = rebased(book_.base, found.fallen);
    for (const Fallen& one : found.fallen) book_.trail.fall_back(one.path, one.base);
    books_ = {book_};
  }

  // As Tree::put_file() does it: the parents are made.
  bool restore(const std::string& path, const Entry& entry) {
    const auto there = at(host_.now, path);
    if (there && (there->kind == EntryKind::kDirectory) != (entry.kind == EntryKind::kDirectory)) return false;
    for (auto up = path.find('/'); up != std::string::npos; up = path.find('/', up + 1)) {
      const std::string parent = path.substr(0, up);
      if (!at(host_.now, parent)) host_.change(parent, Entry::directory());
    }
    host_.change(path, entry);
    return true;
  }

  std::mt19937 random_;
  bool knows_;
  Disk host_, sandbox_;
  Book book_;
  std::vector<Book> books_{Book()};  // what the journal may show after a crash of the host
  std::set<std::pair<std::string, Hash>> history_, noted_;
  std::map<std::string, Maybe> untouched_;  // as agreed, and nobody has changed it since
  Doubts crashed_;
  bool lost_on_both_ = false;
  int number_ = 0;
  std::string said_;
};

TEST(DurableModel, WithoutThatKnowledgeItIsLost) {
  int lost = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    try {
      Model(seed, false).run();
    } catch (const std::logic_error&) {
      ++lost;
    }
  }
  EXPECT_GT(lost, 100);
}

TEST(DurableModel, WhatWasAgreedSurvives) {
  const char* more = std::getenv("LOCKI_SEEDS");
  const unsigned runs = 20000 + (more != nullptr ? static_cast<unsigned>(parse_u64(more).value_or(0)) : 0);
  for (unsigned seed = 1; seed <= runs; ++seed) {
    try {
      Model(seed).run();
    } catch (const std::logic_error& broken) {
      FAIL() << "seed " << seed << ": " << broken.what();
    }
  }
}

}  // namespace
}  // namespace locki::mirror::testing
