#include "base/path_rules.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/strings.h"

namespace locki::path_rules {
namespace {

// Code points that HFS+ leaves out when it compares names (git's utf8.c, next_hfs_char).
bool is_hfs_ignorable(std::uint32_t c) {
  return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x206a && c <= 0x206f) || c == 0xfeff;
}

// Length of the UTF-8 sequence that starts with `lead`; only for text that is_utf8() accepted.
std::size_t sequence_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4; }

std::uint32_t code_point(std::string_view text, std::size_t at, std::size_t length) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + i])); };
  if (length == 1) return byte(0);
  std::uint32_t value = byte(0) & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) value = (value << 6) | (byte(i) & 0x3f);
  return value;
}

// Lower-case ASCII without what HFS+ ignores.
std::string folded(std::string_view component) {
  std::string out;
  for (std::size_t i = 0; i < component.size();) {
    const std::size_t length = sequence_length(static_cast<unsigned char>(component[i]));
    if (i + length > component.size()) return ascii_lower(component);  // invalid UTF-8: refused elsewhere
    if (!is_hfs_ignorable(code_point(component, i, length))) out += component.substr(i, length);
    i += length;
  }
  return ascii_lower(out);
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

}  // namespace

std::string fold(std::string_view component) {
  std::string name = folded(component);
  // Letters that some case-insensitive file systems fold to ASCII ones: U+0131 and U+0130 (exFAT and NTFS map the first to itself, but ext4
  // casefold and APFS differ between versions: not worth trusting), U+212A (Kelvin sign), U+017F (long s).
  replace_all(name, "\xc4\xb1", "i");
  replace_all(name, "\xc4\xb0", "i");
  replace_all(name, "\xe2\x84\xaa", "k");
  replace_all(name, "\xc5\xbf", "s");
  // NTFS: everything from the first colon is a stream's name; trailing dots and spaces do not count.
  if (const auto colon = name.find(':'); colon != std::string::npos) name.resize(colon);
  while (!name.empty() && (name.back() == '.' || name.back() == ' ')) name.pop_back();
  return name;
}

bool is_short_name(std::string_view folded) {
  const std::string_view stem = folded.substr(0, folded.find('.'));
  const std::string_view extension = folded.substr(std::min(folded.size(), stem.size() + 1));
  if (stem.size() < 3 || stem.size() > 8 || extension.size() > 3) return false;
  return stem[stem.size() - 2] == '~' && stem.back() >= '1' && stem.back() <= '9';
}

bool is_dotgit(std::string_view component) {
  const std::string name = fold(component);
  if (name == ".git") return true;
  // The 8.3 names of `.git`: GIT~1, and GIT~N where others came first. Beyond ~4 NTFS hashes: gi7eba~1 is the one for
  // ".git" (git's is_ntfs_dotgit takes git~1 only; the rest costs nothing).
  if (name.size() == 5 && name.starts_with("git~") && name[4] >= '1' && name[4] <= '9') return true;
  return name == "gi7eba~1" || name == "gi7eb~1";
}

std::optional<std::string_view> why_bad_component(std::string_view component) {
  if (component.empty()) return "an empty component";
  if (component == "." || component == "..") return "a '.' or '..' component";
  if (component.size() > kMaxComponent) return "a component longer than 255 bytes";
  for (const char raw : component) {
    const auto c = static_cast<unsigned char>(raw);
    if (c < 0x20 || c == 0x7f) return "a control character";
    if (c == '\\') return "a backslash";
    if (c == '/') return "a slash inside a component";
  }
  if (!is_utf8(component)) return "invalid UTF-8";
  for (std::size_t i = 0; i < component.size();) {
    const std::size_t length = sequence_length(static_cast<unsigned char>(component[i]));
    const std::uint32_t c = code_point(component, i, length);
    // C1 controls act on terminals; bidirectional controls make a name read as another one.
    if (c >= 0x80 && c <= 0x9f) return "a control character";
    if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) return "a text direction control";
    i += length;
  }
  if (is_dotgit(component)) return "a component that a file system could take for .git";
  if (ascii_lower(component.substr(0, kTemporaryPrefix.size())) == kTemporaryPrefix)
    return "a name reserved for unfinished files";
  return std::nullopt;
}

std::optional<std::string_view> why_bad_path(std::string_view path) {
  if (path.empty()) return "an empty path";
  if (path.size() > kMaxPath) return "a path that is too long";
  std::size_t depth = 0;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    if (++depth > kMaxDepth) return "a path that is too deep";
    if (auto why = why_bad_component(path.substr(start, end - start))) return why;
    start = end + 1;
  }
  return std::nullopt;
}

std::optional<std::string_view> why_bad_symlink(std::string_view path, std::string_view target) {
  if (target.empty()) return "an empty symlink target";
  if (target.size() > kMaxTarget) return "a symlink target that is too long";
  if (target.front() == '/') return "an absolute symlink target";
  // Where the link sits: its own name does not count.
  std::size_t depth = 0;
  for (const char c : path) depth += c == '/';
  bool descended = false;
  for (std::size_t start = 0; start <= target.size();) {
    const std::size_t end = std::min(target.find('/', start), target.size());
    const std::string_view component = target.substr(start, end - start);
    start = end + 1;
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      // "a/../.." is textually inside, yet leads out where `a` is itself a symlink: ".." is allowed at the front only.
      if (descended) return "a symlink target with '..' after a name";
      if (depth == 0) return "a symlink target that leads outside";
      --depth;
      continue;
    }
    descended = true;
    if (auto why = why_bad_component(component)) return why;
  }
  return std::nullopt;
}

}  // namespace locki::path_rules
