// A recipe says what one root is made of; recipes/README.md describes the format. Reading and hashing; nothing runs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace locki::image {

enum class Kind { kVmm, kVm, kSandbox };
std::string_view to_string(Kind kind);  // also the folder's name
inline constexpr Kind kAllKinds[] = {Kind::kVmm, Kind::kVm, Kind::kSandbox};

struct Recipe {
  Kind kind = Kind::kVmm;
  std::string variant;                     // of mmdebstrap
  std::vector<std::string> packages;
  std::vector<std::string> apt_options, dpkg_options;
  std::vector<std::string> hooks;          // shell texts, in their order; $1 is the root
  std::filesystem::path files;             // overlay directory; empty when there is none
  std::string content_key;                 // hex: every file name, mode and byte that it is made of
};

// DIRECTORY/KIND and DIRECTORY/common. kCorrupt when something that must be there is not.
Result<Recipe> load_recipe(const std::filesystem::path& directory, Kind kind);

// Where packages come from: lines of sources.list without the leading "deb".
struct Mirror {
  std::string main;      // URI
  std::string security;  // URI; "" when the host uses none
  bool operator==(const Mirror&) const = default;
};
// The release that all roots are made of.
inline constexpr std::string_view kSuite = "trixie";

// From the text of apt's files: one-line (.list) and deb822 (.sources) format, sources.list(5). Pure. What is not Debian's own archive
// is passed over. An empty `main`: none found.
Mirror mirror_in_list(std::string_view text);
Mirror mirror_in_sources(std::string_view text);
// Of this host: /etc/apt. kNotFound with a hint where the host is no Debian. `configured` (an URI) stands above it.
Result<Mirror> find_mirror(const std::string& configured, const std::filesystem::path& apt = "/etc/apt");

// The cache key of a root: recipe, mirror, suite, and what its disk is made with (`maker`: the key of vmm, or "").
std::string root_key(const Recipe& recipe, const Mirror& mirror, std::string_view maker);

}  // namespace locki::image
