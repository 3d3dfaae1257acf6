#include "review/text_checks.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/strings.h"
#include "base/utf8.h"

namespace locki::review {
namespace {

bool is_direction(char32_t c) { return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069); }

bool is_ascii(char32_t c) { return c < 0x80; }
bool is_blank(char32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0; }

// `before` and `after` are the neighbours, 0 at the ends of the line.
bool is_invisible(char32_t c, char32_t before, char32_t after) {
  // Joiners (in Persian, in Indic scripts, between emoji) and direction marks (in Arabic, in Hebrew) belong between characters of such scripts.
  if (c == 0x200c || c == 0x200d) return is_ascii(before) || is_ascii(after);
  if (c == 0x200e || c == 0x200f || c == 0x61c) return is_ascii(before) && is_ascii(after) && !(is_blank(before) && is_blank(after));
  // A variation selector follows an emoji, a digit or a mark (keycaps); several in a row carry hidden data.
  if (c >= 0xfe00 && c <= 0xfe0f) return is_blank(before) || (before >= 0xfe00 && before <= 0xfe0f) || (before >= 'A' && before <= 'z');
  // Tags make flags after U+1F3F4, and hidden text anywhere else; which of both, their neighbour says.
  if (c >= 0xe0020 && c <= 0xe007f) return before != 0x1f3f4 && !(before >= 0xe0020 && before <= 0xe007f);
  return c == 0xad || c == 0x115f || c == 0x1160 || c == 0x180e || c == 0x200b || (c >= 0x2060 && c <= 0x2064) || (c >= 0x206a && c <= 0x206f) || c == 0x3164 || c == 0xffa0 ||
         c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff) || (c >= 0x1d173 && c <= 0x1d17a);
}

bool is_control(char32_t c, char32_t after) {
  // A carriage return that ends no line lets a terminal write over what stood there.
  if (c == '\r') return after != 0 && after != '\r';
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\v') || c == 0x7f || (c >= 0x80 && c <= 0x9f);
}

bool is_odd(Oddity oddity, char32_t c, char32_t before, char32_t after) {
  switch (oddity) {
    case Oddity::kDirection: return is_direction(c);
    case Oddity::kInvisible: return is_invisible(c, before, after);
    case Oddity::kControls: return is_control(c, after);
  }
  return false;
}

// Bytes that are no UTF-8 count as one character that is never odd.
constexpr char32_t kNoCharacter = 0xfffd;

char32_t next(std::string_view line, std::size_t& at) {
  if (at >= line.size()) return 0;
  char32_t c = kNoCharacter;
  const std::size_t length = decode_utf8(line, at, c);
  at += length == 0 ? 1 : length;
  return length == 0 ? kNoCharacter : c;
}

std::optional<char32_t> odd_character(std::string_view line, Oddity oddity) {
  std::size_t at = 0;
  char32_t before = 0;
  char32_t c = next(line, at);
  while (c != 0 || at < line.size()) {
    const char32_t after = next(line, at);
    if (is_odd(oddity, c, before, after)) return c;
    before = c;
    c = after;
  }
  return std::nullopt;
}

// Most lines are plain: looked at only if a byte in them can be part of such a character.
bool may_be_odd(std::string_view line, Oddity oddity) {
  for (const char raw : line) {
    const auto c = static_cast<unsigned char>(raw);
    if (c >= 0x80 || (oddity == Oddity::kControls && (c < 0x20 || c == 0x7f))) return true;
  }
  return false;
}

}  // namespace

std::vector<OddLine> odd_lines(std::string_view text, Oddity oddity) {
  std::vector<OddLine> found;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::size_t number = 0;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    ++number;
    if (may_be_odd(line, oddity)) {
      if (const auto c = odd_character(line, oddity)) found.push_back({number, line, *c});
    }
    start = end + 1;
  }
  return found;
}

std::optional<OddLine> first_new_odd_line(std::string_view before, std::string_view after, Oddity oddity) {
  const auto found = odd_lines(after, oddity);
  if (found.empty()) return std::nullopt;
  std::unordered_set<std::string_view> known;
  for (const OddLine& line : odd_lines(before, oddity)) known.insert(line.text);
  for (const OddLine& line : found)
    if (!known.contains(line.text)) return line;
  return std::nullopt;
}

bool git_calls_binary(std::string_view bytes) { return bytes.substr(0, 8000).find('\0') != std::string_view::npos; }

std::string describe(const OddLine& line) { return fmt::format("U+{:04X} in line {}", static_cast<unsigned>(line.character), line.number); }

}  // namespace locki::review
