// Untrusted text on its way to a terminal, beyond printable(): whole lines and JSON. Pure.
#pragma once

#include <string>
#include <string_view>

namespace locki::cli {

// One line of a file: tabs and backslashes stay, everything else that printable() would replace is replaced. No limit.
std::string visible_line(std::string_view line);
// Several lines, each made visible; every one but the first indented by `indent` blanks.
std::string visible_lines(std::string_view text, std::size_t indent);
// JSON text in which no character of a string can act on a terminal (DEL, C1 controls, bidirectional and invisible ones become \uNNNN).
std::string escape_json(std::string_view json);

// "3 files", "1 file"
std::string counted(long long n, std::string_view singular, std::string_view plural = {});

}  // namespace locki::cli
