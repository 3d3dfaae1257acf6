// Small string helpers that the standard library lacks. Pure; bytes, never locale.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace locki {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> split(std::string_view text, char separator);  // "a,,b" gives three parts; "" gives one empty
std::vector<std::string> split_lines(std::string_view text);            // without the line ends; no empty last line
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);  // ASCII white space, both ends
std::string ascii_lower(std::string_view text);

std::string hex(ByteView bytes);  // lower case
std::optional<Bytes> unhex(std::string_view text);
std::string base64(ByteView bytes);
std::optional<Bytes> unbase64(std::string_view text);

// Decimal digits only, no sign, no overflow.
std::optional<std::uint64_t> parse_u64(std::string_view text);

bool is_utf8(std::string_view text);  // well-formed: no overlong forms, no surrogates

// For messages and logs: everything that is not printable (control bytes, invalid UTF-8, bidirectional and invisible
// characters) becomes \xNN or \u{N}; a backslash becomes two. What comes out cannot act on a terminal. At most `limit` characters,
// then "…".
std::string printable(std::string_view untrusted, std::size_t limit = 400);

// "1.5 GiB", "820 KiB", "12 B"
std::string human_bytes(std::uint64_t bytes);

}  // namespace locki
