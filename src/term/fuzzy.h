// Matching what was typed against names: all characters in order, case ignored unless the query has a capital. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locki::term {

// Higher is better; nullopt when it does not match. Prefers, in this order of weight: the whole name, a prefix, beginnings of words (after
// one of "-_/. " or at a capital), consecutive characters, matches near the start, short names. An empty query matches all with 0.
std::optional<int> fuzzy_score(std::string_view query, std::string_view candidate);

// Indices of the matching candidates, best first; equal scores keep their order.
std::vector<std::size_t> fuzzy_rank(std::string_view query, const std::vector<std::string>& candidates);

// Edits (insert, delete, replace, swap neighbours) between two words: for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b);
// The nearest of `words` when it is near enough to be meant, else "".
std::string nearest(std::string_view word, const std::vector<std::string>& words);

}  // namespace locki::term
