// What a text may hold that its reader does not see as it is: direction controls ("Trojan Source", CVE-2021-42574), invisible characters, and
// control characters that a terminal acts on. Pure functions on bytes, linear, any bytes; fuzzed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locki::review {

enum class Oddity { kDirection, kInvisible, kControls };

struct OddLine {
  std::size_t number = 0;  // from 1
  std::string_view text;   // of the text that was given
  char32_t character = 0;  // the first of them
};
// The lines that hold such a character. Emoji with their joiners, and joiners inside scripts that need them, are not odd; nor is a byte-order mark
// that begins the text.
std::vector<OddLine> odd_lines(std::string_view text, Oddity oddity);
// The first of them that `before` has not.
std::optional<OddLine> first_new_odd_line(std::string_view before, std::string_view after, Oddity oddity);

// As git decides it (a NUL among the first 8,000 bytes): then it shows no difference.
bool git_calls_binary(std::string_view bytes);

// "U+202E in line 7"
std::string describe(const OddLine& line);

}  // namespace locki::review
