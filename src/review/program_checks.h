// Whether bytes are a program that a host would run, whatever the file is called: by the magic numbers of file(1) and of the formats' own
// specifications. Pure functions on bytes, linear, any bytes; fuzzed.
#pragma once

#include <optional>
#include <string_view>

namespace locki::review {

// "an ELF program", "Java classes", …; the text is a constant.
std::optional<std::string_view> program_kind(std::string_view bytes);

// The interpreter that the first line names ("#!/bin/sh -e" gives "/bin/sh -e"), or nullopt.
std::optional<std::string_view> shebang(std::string_view bytes);

}  // namespace locki::review
