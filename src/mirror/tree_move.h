// One thing takes another's name in a tree, or leaves its own: the part of changing a tree (tree_apply.cc) that others race
// with. Not for anybody else.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mirror/staging.h"
#include "mirror/tree_impl.h"

namespace locki::mirror {

inline constexpr std::string_view kChanged = "it changed meanwhile";

inline Outcome applied() { return {}; }
inline Outcome conflict(std::optional<Entry> actual, std::string reason) {
  return {.status = Outcome::Status::kConflict, .actual = std::move(actual), .reason = std::move(reason)};
}
inline Outcome failed(std::string reason) {
  return {.status = Outcome::Status::kFailed, .reason = std::move(reason)};
}
inline Outcome failed(const Error& error) { return failed(error.describe()); }

std::optional<Entry> look_again(Tree::Impl& tree, const sys::Directory::Spot& spot, const std::string& at);

// Takes what was found (a file, a symlink, an empty directory) from its name. On success nothing is there.
Outcome take_away(Tree::Impl& tree, const sys::Directory::Spot& spot, const std::string& at, const Found& found);

// Puts the finished object into its place, where `found` was. It is released once its name is no longer the caller's to
// remove.
Outcome move_in(Tree::Impl& tree, const sys::Directory::Spot& spot, const std::string& at, Temporary& temporary,
                const Found& found);

}  // namespace locki::mirror
