// After an unclean end: which of what a side shows is work of somebody's, and where it has merely fallen back to what it
// had on disk. The answer is a change of what counts as agreed: where a side has fallen back, the base becomes what that
// side shows, so that for reconcile() nothing happened there, and what the other side has goes to it again. Pure.
//
//   a side in doubt shows                      it is
//   what was agreed, or was on its way to it   as it was
//   an older version of the trail, or nothing  fallen back
//   an empty or torn version of the trail      fallen back; what is there is kept
//   anything else                              work: the ordinary rules
//
//   both have fallen back                      what was agreed comes back out of the history; else the newer one stands
//
// A side whose disk is older than the trail reaches (an old image, a snapshot) shows what the history knows: the same.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mirror/state.h"
#include "mirror/trail.h"

namespace locki::mirror {

enum class Side { kHost, kSandbox };

struct Doubts {
  bool host = false, sandbox = false;
  // The trail does not tell all that a side may show: a disk is older than the last mark, or there was none yet.
  bool all = false;
  // With `all`: that entry was agreed on there at some time, as far as the history knows.
  std::function<bool(const std::string& path, const Entry& entry)> older;
  bool any() const { return host || sandbox; }
};

// A file that may be what a crash left of a version: only its content tells.
struct Suspect {
  Side side;
  std::string path;
  Entry shown;
  bool operator<(const Suspect& other) const { return std::tie(side, path) < std::tie(other.side, other.path); }
};

struct Fallen {
  std::string path;
  std::optional<Entry> base;     // from now on
  bool host = false, sandbox = false;  // who has fallen back
  bool torn = false;             // what is there is in no version: to be kept before it goes
  std::vector<Entry> restore;    // neither has these: the first that the history has is to come back
};

struct Recovery {
  std::vector<Fallen> fallen;  // sorted by path
  std::vector<Suspect> suspects;
};

// `torn`: of the suspects of an earlier call those that proved to be torn, and those that did not.
struct Looked {
  std::set<std::pair<Side, std::string>> torn, whole;
};

Recovery judge(const Trail& trail, const State& base, const State& host, const State& sandbox, const Doubts& doubts,
               const Looked& looked = {});

// The base with what `fallen` says, well formed.
State rebased(const State& base, const std::vector<Fallen>& fallen);

// True when `left` may be what a crash left of `whole`: no longer, and each block either the same or without content
// (zeros). Equal contents are not torn.
bool is_torn(std::string_view whole, std::string_view left);

}  // namespace locki::mirror
