#include "term/width.h"

#include <utf8proc.h>

namespace locki::term {
namespace {

// One code point from the front: its length in bytes and its columns.
struct Point {
  std::size_t length, columns;
};

Point next_point(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return {1, 1};
  utf8proc_int32_t code = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (length <= 0) return {1, 1};
  const int width = utf8proc_charwidth(code);
  return {static_cast<std::size_t>(length), width > 0 ? static_cast<std::size_t>(width) : 0};
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto point = next_point(text);
    columns += point.columns;
    text.remove_prefix(point.length);
  }
  return columns;
}

std::string fit(std::string_view text, std::size_t columns) {
  if (columns == 0) return "";
  std::size_t used = 0, at = 0, cut = 0;  // cut: the last place where "…" still fits behind
  while (at < text.size()) {
    const auto point = next_point(text.substr(at));
    // Characters without columns (combining marks) belong to what stands before them.
    if (used + point.columns > columns) return std::string(text.substr(0, cut)) + "…";
    used += point.columns;
    at += point.length;
    if (used + 1 <= columns) cut = at;
  }
  return std::string(text);
}

}  // namespace locki::term
