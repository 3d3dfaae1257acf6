#include "review/program_checks.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/strings.h"

namespace locki::review {
namespace {

using namespace std::string_view_literals;

struct Magic {
  std::string_view bytes, kind;
};
constexpr std::array<Magic, 17> kMagics{{{"\x7f"
                                          "ELF"sv,
                                          "an ELF program or library"},
                                         {"\xfe\xed\xfa\xce"sv, "a Mach-O program or library"},
                                         {"\xfe\xed\xfa\xcf"sv, "a Mach-O program or library"},
                                         {"\xce\xfa\xed\xfe"sv, "a Mach-O program or library"},
                                         {"\xcf\xfa\xed\xfe"sv, "a Mach-O program or library"},
                                         {"\0asm"sv, "WebAssembly"},
                                         {"dex\n"sv, "Android byte code"},
                                         {"\x1bLua"sv, "Lua byte code"},
                                         {"\x1bLJ"sv, "LuaJIT byte code"},
                                         {"BC\xc0\xde"sv, "LLVM bitcode"},
                                         {"!<arch>\n"sv, "an archive of machine code, or a Debian package"},
                                         {"!<thin>\n"sv, "an archive of machine code"},
                                         {"\xed\xab\xee\xdb"sv, "an RPM package"},
                                         {"L\0\0\0\x01\x14\x02\0"sv, "a Windows shortcut"},
                                         {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "a compound document (Windows installers and macros are such)"},
                                         {";ELC"sv, "compiled Emacs Lisp"},
                                         {"MSCF\0\0\0\0"sv, "a Windows cabinet"}}};

std::uint32_t little32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

// Java classes and universal Mach-O programs share their first four bytes; then come a class's version, or the number of architectures (file(1) draws
// the line at the same place).
std::optional<std::string_view> cafebabe(std::string_view bytes) {
  if (bytes.size() < 8 || !bytes.starts_with("\xca\xfe\xba\xbe"sv)) return std::nullopt;
  const bool many = bytes[4] != 0 || bytes[5] != 0 || static_cast<unsigned char>(bytes[6]) != 0 || static_cast<unsigned char>(bytes[7]) >= 43;
  return many ? "a Java class" : "a Mach-O program or library";
}

// The DOS header's offset 0x3c names the place of "PE\0\0". One without it still runs under DOS emulators: "MZ" and a NUL is enough.
std::optional<std::string_view> windows(std::string_view bytes) {
  if (bytes.size() < 64 || !bytes.starts_with("MZ")) return std::nullopt;
  const std::uint32_t at = little32(bytes, 0x3c);
  if (at <= bytes.size() - 4 && bytes.substr(at, 4) == "PE\0\0"sv) return "a Windows program or library";
  return bytes.substr(0, 64).find('\0') != std::string_view::npos ? std::optional<std::string_view>("a DOS or Windows program") : std::nullopt;
}

// CPython (importlib/_bootstrap_external.py): two bytes of version, "\r\n", then flags that are 0 to 3 (or, before 3.7, a time).
std::optional<std::string_view> python(std::string_view bytes) {
  if (bytes.size() < 16 || bytes.substr(2, 2) != "\r\n" || static_cast<unsigned char>(bytes[1]) < 0x0a || static_cast<unsigned char>(bytes[1]) > 0x20) return std::nullopt;
  const bool marshalled = bytes[16 < bytes.size() ? 16 : 15] == '\xe3' || bytes[12] == '\xe3' || bytes[8] == 'c';
  return little32(bytes, 4) <= 3 || marshalled ? std::optional<std::string_view>("Python byte code") : std::nullopt;
}

// Java takes any file that ends in a ZIP directory, whatever stands before it; so the end decides.
std::optional<std::string_view> zipped(std::string_view bytes) {
  const std::string_view tail = bytes.substr(bytes.size() - std::min<std::size_t>(bytes.size(), 66'000));
  if (tail.find("PK\5\6"sv) == std::string_view::npos) return std::nullopt;
  const auto has = [&](std::string_view name) { return bytes.find(name) != std::string_view::npos; };
  if (has("META-INF/MANIFEST.MF") || has(".class")) return "a Java archive";
  if (has("classes.dex")) return "an Android package";
  if (has(".dist-info/WHEEL") || has("EGG-INFO/") || has("__main__.py")) return "a Python package or program";
  if (has("extension.vsixmanifest") || has("manifest.json")) return "an extension of an editor or a browser";
  if (!bytes.starts_with("PK\3\4")) return "a file with a ZIP archive behind it";
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> program_kind(std::string_view bytes) {
  for (const Magic& magic : kMagics)
    if (bytes.starts_with(magic.bytes)) return magic.kind;
  for (const auto& of : {cafebabe, windows, python, zipped})
    if (const auto kind = of(bytes)) return kind;
  return std::nullopt;
}

std::optional<std::string_view> shebang(std::string_view bytes) {
  if (!bytes.starts_with("#!")) return std::nullopt;
  const std::string_view line = trim(bytes.substr(2, std::min(bytes.find('\n'), std::size_t{256}) - 2));
  // "#![allow(…)]" is an attribute of Rust, not an interpreter.
  if (line.empty() || (line.front() != '/' && !line.starts_with("env "))) return std::nullopt;
  return line;
}

}  // namespace locki::review
