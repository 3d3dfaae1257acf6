// Which names may come out of a sandbox, as files or in the trees of commits. Pure, allocation only for error texts;
// fuzzed. In base because git/ and mirror/ share it and the static endpoint uses it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace locki::path_rules {

inline constexpr std::size_t kMaxComponent = 255;  // NAME_MAX of every common file system
inline constexpr std::size_t kMaxPath = 3072;      // leaves room for the worktree's own path in PATH_MAX
inline constexpr std::size_t kMaxDepth = 64;
inline constexpr std::size_t kMaxTarget = 1024;
// Names of our own half-written files, in any directory of a worktree. Never carried, never accepted.
inline constexpr std::string_view kTemporaryPrefix = ".locki-tmp-";

// True when any host file system could take the component for `.git`: letter case, HFS+ ignorable code points, NTFS
// short name (git~1), trailing dots and spaces, a stream (`.git::$INDEX_ALLOCATION`).
bool is_dotgit(std::string_view component);
// The form in which two spellings of a component are the same name to some host file system: ASCII letter case and what folds to it,
// code points that HFS+ ignores, a stream's name after ':', trailing dots and spaces. For comparing only.
std::string fold(std::string_view component);
// True for a folded component that has the form of an NTFS short name (8.3): `agents~1.md`, `vscode~1`.
bool is_short_name(std::string_view folded);
// Why this component may not be used, or nullopt. The text is a constant: safe to print.
std::optional<std::string_view> why_bad_component(std::string_view component);
// The same for a whole relative path, and for the target of a symlink that sits at `path`.
std::optional<std::string_view> why_bad_path(std::string_view path);
std::optional<std::string_view> why_bad_symlink(std::string_view path, std::string_view target);

}  // namespace locki::path_rules
