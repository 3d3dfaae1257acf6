// What a name stands for is only known for certain once nobody else can reach it under that name. So what is replaced
// or removed is first moved aside atomically (RENAME_EXCHANGE, or to a name of ours; staging.h says where), then compared
// with what had been looked at, and moved back if somebody was faster. A kill at any point leaves either the old or the
// new content under the name, and perhaps a temporary file that the next one deals with.
#include "mirror/tree_move.h"

#include "base/hash.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

using Spot = sys::Directory::Spot;

// A rename did not find one of its two names: the one in the tree, or ours.
Outcome not_found(Tree::Impl& tree, const Spot& spot, const std::string& at, const Error& error) {
  if (!look_again(tree, spot, at)) return conflict(std::nullopt, std::string(kChanged));
  return failed(error);
}

// Somebody took the name of a version that was moved aside: both stay.
void save_aside(const Spot& spot, const Spot& aside) {
  if (const auto saved = spot.beside("saved-by-locki-" + random_hex(6))) (void)aside.rename_new(*saved);
}

// Undoes an exchange that met something unexpected: `ours` is under the name, theirs aside.
void restore(const Spot& spot, const Spot& aside, const sys::FileStat& ours) {
  if (spot.exchange(aside)) {
    const auto back = aside.stat();
    if (back && back->same_object(ours)) {
      (void)aside.unlink();
      return;
    }
    // Even newer: it goes back under the name.
    if (spot.exchange(aside)) return save_aside(spot, aside);
  }
  if (!aside.rename_new(spot)) save_aside(spot, aside);
}

Result<Temporary> move_aside(Tree::Impl& tree, const Spot& spot) {
  TRY_ASSIGN(Temporary aside, tree.staging.place(tree.root, spot, Staging::Role::kOld));
  auto moved = spot.rename_new(aside.at());
  if (!moved && moved.error().kind() == ErrorKind::kUnavailable) {
    tree.staging.refuse(spot.parent);
    aside.release();
    TRY_ASSIGN(aside, tree.staging.place(tree.root, spot, Staging::Role::kOld));
    moved = spot.rename_new(aside.at());
  }
  if (moved) return aside;
  aside.release();
  return fail(std::move(moved).error());
}

// There is nothing that could be lost under the name.
Outcome move_to_free_name(Tree::Impl& tree, const Spot& spot, const std::string& at, Temporary& temporary) {
  const auto moved = temporary.at().rename_new(spot);
  if (moved) {
    temporary.release();
    return applied();
  }
  if (moved.error().kind() == ErrorKind::kExists) return conflict(look_again(tree, spot, at), std::string(kChanged));
  if (moved.error().kind() == ErrorKind::kUnavailable) tree.staging.refuse(spot.parent);
  return failed(moved.error());
}

// No exchange on this file system: the check and the replacement are two steps, as close together as can be.
Outcome move_over(Tree::Impl& tree, const Spot& spot, const std::string& at, Temporary& temporary, const Found& found) {
  const auto now = spot.stat();
  if (!now || !now->same_content(found.stat)) return conflict(look_again(tree, spot, at), std::string(kChanged));
  if (const auto moved = temporary.at().rename_over(spot); !moved) {
    if (moved.error().kind() == ErrorKind::kUnavailable) tree.staging.refuse(spot.parent);
    return failed(moved.error());
  }
  temporary.release();
  return applied();
}

}  // namespace

std::optional<Entry> look_again(Tree::Impl& tree, const Spot& spot, const std::string& at) {
  Found found = tree.look(spot, at);
  if (found.what != Found::What::kEntry) return std::nullopt;
  return std::move(found.entry);
}

Outcome take_away(Tree::Impl& tree, const Spot& spot, const std::string& at, const Found& found) {
  if (found.entry.kind == EntryKind::kDirectory) {
    const auto removed = spot.remove_directory();
    if (removed || removed.error().kind() == ErrorKind::kNotFound) return applied();
    if (removed.error().kind() == ErrorKind::kExists) return conflict(Entry::directory(), "the directory is not empty");
    return failed(removed.error());
  }
  auto aside = move_aside(tree, spot);
  if (!aside) {
    if (aside.error().kind() == ErrorKind::kNotFound) return not_found(tree, spot, at, aside.error());
    return failed(aside.error());
  }
  sys::fault_point("tree.aside");
  const Spot old = aside->release();
  const auto now = old.stat();
  if (!now || !now->same_content(found.stat)) {
    if (!old.rename_new(spot)) save_aside(spot, old);
    return conflict(look_again(tree, spot, at), std::string(kChanged));
  }
  if (const auto gone = old.unlink(); !gone) return failed(gone.error());
  return applied();
}

Outcome move_in(Tree::Impl& tree, const Spot& spot, const std::string& at, Temporary& temporary, const Found& found) {
  const bool nothing_there = found.what == Found::What::kNothing;
  if (!nothing_there && found.entry.kind == EntryKind::kDirectory) {
    if (Outcome away = take_away(tree, spot, at, found); !away.applied()) return away;
  }
  if (nothing_there || found.entry.kind == EntryKind::kDirectory)
    return move_to_free_name(tree, spot, at, temporary);
  const auto ours = temporary.at().stat();
  if (!ours) return failed("the unfinished file was taken away");
  if (const auto named = temporary.will_hold_old(); !named) return failed(named.error());
  const auto swapped = spot.exchange(temporary.at());
  if (!swapped && swapped.error().kind() == ErrorKind::kUnavailable)
    return move_over(tree, spot, at, temporary, found);
  if (!swapped) {
    if (swapped.error().kind() == ErrorKind::kNotFound) return not_found(tree, spot, at, swapped.error());
    return failed(swapped.error());
  }
  const Spot theirs = temporary.release();
  const auto replaced = theirs.stat();
  if (!replaced || !replaced->same_content(found.stat)) {
    restore(spot, theirs, *ours);
    return conflict(look_again(tree, spot, at), std::string(kChanged));
  }
  sys::fault_point("tree.exchanged");
  (void)theirs.unlink();
  return applied();
}

}  // namespace locki::mirror
