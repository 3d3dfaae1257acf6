#include "cli/text.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "term/screen_rules.h"

namespace locki::cli {
namespace {

// Calls take(character, length, code) for every character; length 0 and one byte for what is not UTF-8.
template <class Take>
void each_character(std::string_view text, const Take& take) {
  while (!text.empty()) {
    char32_t code = 0;
    const auto length = term::utf8_character(text, code);
    take(text.substr(0, length == 0 ? 1 : length), length != 0, code);
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

}  // namespace

std::string visible_line(std::string_view line) {
  std::string out;
  out.reserve(line.size());
  each_character(line, [&](std::string_view character, bool, char32_t code) {
    const bool plain = code == '\t' || (code >= 0x20 && code < 0x7f);
    out += plain ? std::string(character) : printable(character);
  });
  return out;
}

std::string visible_lines(std::string_view text, std::size_t indent) {
  std::string out;
  for (const auto& line : split_lines(text)) {
    if (!out.empty()) out += "\n" + std::string(indent, ' ');
    out += visible_line(line);
  }
  return out;
}

std::string escape_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  each_character(json, [&](std::string_view character, bool valid, char32_t code) {
    if (!valid) {
      out += "\\ufffd";
    } else if (code < 0x7f || (code >= 0xa0 && printable(character) == character)) {
      out += character;
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    } else {
      const auto offset = static_cast<unsigned>(code) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (offset >> 10), 0xdc00 + (offset & 0x3ff));
    }
  });
  return out;
}

std::string counted(long long n, std::string_view singular, std::string_view plural) {
  if (n == 1) return fmt::format("1 {}", singular);
  return plural.empty() ? fmt::format("{} {}s", n, singular) : fmt::format("{} {}", n, plural);
}

}  // namespace locki::cli
