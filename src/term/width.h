// How many columns text takes on a terminal, and cutting it to fit (utf8proc's width table). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace locki::term {

// Columns of well-formed, printable UTF-8; an invalid byte or a control character counts as one.
std::size_t display_width(std::string_view text);
// The longest beginning that fits, with "…" as its last column when something was cut. Never splits a character from its combining marks.
std::string fit(std::string_view text, std::size_t columns);

}  // namespace locki::term
