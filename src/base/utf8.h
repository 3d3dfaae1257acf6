// Code points of UTF-8 text. Pure; any bytes.
#pragma once

#include <cstddef>
#include <string_view>

namespace locki {

// The code point at `pos` (which is in the text); gives its length, or 0 when the bytes there are not well-formed (Unicode table 3-7).
std::size_t decode_utf8(std::string_view text, std::size_t pos, char32_t& out);

}  // namespace locki
