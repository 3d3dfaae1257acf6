// What package manifests and lockfiles say: values of keys, and the places that things are fetched from. Pure functions on bytes, bounded (JSON
// and TOML by their parsers' limits), any bytes; fuzzed.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace locki::review {

// Which of the dotted keys have another value afterwards: key, or for an object "key.member" for each member that differs, at most a few. "" before
// is an empty document. A document that changed and cannot be read gives one name that says so.
std::vector<std::string> changed_json_keys(std::string_view before, std::string_view after, const std::vector<std::string>& keys);
std::vector<std::string> changed_toml_keys(std::string_view before, std::string_view after, const std::vector<std::string>& keys);

// Places that a text names for fetching from: scheme and host of every URL, with the first parts of the path where a host has many owners or the
// scheme is git's; "git@host:path"; "github:owner/name" and the like; local paths ("file:../x").
std::set<std::string> sources_in(std::string_view text);
// The same within the values of these keys of a JSON document; within all of it when it cannot be read.
std::set<std::string> sources_in_json(std::string_view document, const std::vector<std::string>& keys);

// Lines of `after` that hold one of the words and that `before` has not, trimmed, at most `limit`. Blanks do not count when a word is looked for; a word
// after '^' must begin the line.
std::vector<std::string> new_lines_with(std::string_view before, std::string_view after, const std::vector<std::string>& words, std::size_t limit);

}  // namespace locki::review
