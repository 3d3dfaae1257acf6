// The core: from what was last agreed (base) and what both sides have now, to what has to be done. A pure function; the
// property tests hold it to convergence, idempotence and no loss.
//
//   changed on one side only            carried to the other
//   the same change on both             agreed
//   both changed a file                 merged field by field; both contents changed: a text merge is tried (kMerge)
//   human edited, agent deleted         the human's edit goes back in
//   human deleted, agent edited         the deletion stands; the agent's version is kept
//   anything else on both sides         the human's version stands on both sides; the agent's is kept
//   a directory is gone on one side,    the directory stays (comes back)
//     something new beneath it
//   a file where the other has a        the human's version of the upper path stands; what the agent had there or
//   beneath is kept
//     directory with content
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mirror/state.h"

namespace locki::mirror {

struct Action {
  enum class Kind {
    kAdopt,          // both sides have `to`: only the base moves
    kChangeHost,     // make the host have `to` (nullopt: nothing), where it has `from` now
    kChangeSandbox,  // the same inside
    kMerge,  // both are files with different contents, and so was the base: try a text merge of contents; `to` carries
             // the merged executable bit. If it fails: the host's version stands, keep the agent's
  };
  Kind kind = Kind::kAdopt;
  std::string path;
  std::optional<Entry> from, to;
  // The agent's version that this action makes disappear and that is in no other state: to be kept in the history
  // before.
  std::optional<Entry> keep;
  // When this is done the base may become `to`: the other side has it, or (the first half of a change between directory
  // and something else) has what comes next. Where both sides have to change it is false: the base follows when both
  // have.
  bool settles = true;
  bool operator==(const Action&) const = default;
};

struct Plan {
  // In an order that can be carried out one by one on each side: what is removed (deepest first) before what is made
  // (parents first).
  std::vector<Action> actions;
  bool empty() const { return actions.empty(); }
};

// The three states must be well formed. With `limit`, at most that many actions: a prefix that leaves both sides well
// formed.
Plan reconcile(const State& base, const State& host, const State& sandbox, std::size_t limit = SIZE_MAX);

// Every entry's parents are there and are directories.
bool well_formed(const State& state);
// Adds the directories that entries imply. False when an entry lies beneath something that is not a directory.
bool complete_parents(State& state);

}  // namespace locki::mirror
