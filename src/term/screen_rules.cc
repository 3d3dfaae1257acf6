#include "term/screen_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/strings.h"

namespace locki::term {
namespace {

constexpr std::size_t kMaxTitle = 256;   // bytes
constexpr std::size_t kMaxUri = 2083;    // what VTE and iTerm2 accept
constexpr std::size_t kMaxLinkId = 250;  // the same
constexpr std::size_t kMaxParameters = 64;

constexpr std::string_view kCsi = "\x1b[";

// DEC private modes that only draw.
constexpr std::array kDrawingModes{5U, 6U, 7U, 12U, 25U, 45U, 47U, 69U, 1047U, 1048U, 1049U, 2026U, 2027U};
// Those that change what the terminal sends: cursor and keypad keys, mouse, focus, paste, colour scheme and size reports. Not here, on purpose: 2 (VT52), 3 and
// 40 (window width), 1001 (waits for an answer), 1046, 80xx (sixel, fonts), 5522 (clipboard).
constexpr std::array kInputModes{1U,    9U,    66U,   1000U, 1002U, 1003U, 1004U, 1005U, 1006U,
                                 1007U, 1015U, 1016U, 1034U, 2004U, 2031U, 2048U};

struct Parts {
  char prefix = 0;  // one of < = > ?
  std::array<unsigned, kMaxParameters> values;  // an absent one is 0; the first `count` are set
  std::size_t count = 0;
  bool colons = false;
  std::string_view numbers;  // as it stands there
  std::string_view intermediates;

  std::span<const unsigned> parameters() const { return {values.data(), count}; }
};

// Strict ECMA-48 form with numbers of at most five digits; nullopt for all else.
std::optional<Parts> parse(std::string_view body) {
  Parts parts;
  if (!body.empty() && body.front() >= '<' && body.front() <= '?') {
    parts.prefix = body.front();
    body.remove_prefix(1);
  }
  const auto end = std::min(body.find_first_not_of("0123456789;:"), body.size());
  parts.numbers = body.substr(0, end);
  parts.intermediates = body.substr(end);
  for (const char c : parts.intermediates) {
    if (c < 0x20 || c > 0x2f) return std::nullopt;
  }
  if (parts.numbers.empty()) return parts;
  unsigned value = 0, digits = 0;
  bool too_many = false;
  const auto finish = [&] {
    too_many = too_many || parts.count == kMaxParameters;
    if (!too_many) parts.values[parts.count++] = value;
    value = digits = 0;
  };
  for (const char c : parts.numbers) {
    if (c == ';' || c == ':') {
      if (c == ':') parts.colons = true;
      finish();
      continue;
    }
    if (++digits > 5) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  finish();
  if (too_many) return std::nullopt;
  return parts;
}

unsigned first(const Parts& parts) { return parts.count == 0 ? 0 : parts.values[0]; }

Ruling pass(std::string text) { return {Verdict::kPass, std::move(text)}; }

Ruling as_is(const Parts& parts, char final, Verdict verdict = Verdict::kPass) {
  std::string text(kCsi);
  if (parts.prefix != 0) text += parts.prefix;
  text.append(parts.numbers).append(parts.intermediates) += final;
  return {verdict, std::move(text)};
}

Ruling query(const Parts& parts, char final, bool interactive) {
  return interactive ? as_is(parts, final, Verdict::kQuery) : Ruling{};
}

// CSI ? modes h/l: those of the list, in their order.
Ruling private_modes(const Parts& parts, char final, bool interactive, ScreenModes& modes) {
  std::string numbers;
  for (const auto mode : parts.parameters()) {
    const bool draws = std::find(kDrawingModes.begin(), kDrawingModes.end(), mode) != kDrawingModes.end();
    const bool input = std::find(kInputModes.begin(), kInputModes.end(), mode) != kInputModes.end();
    if (!draws && !(input && interactive)) continue;
    if (!numbers.empty()) numbers += ';';
    numbers += std::to_string(mode);
    modes.private_mode(mode, final == 'h');
  }
  if (numbers.empty()) return {};
  return pass(std::string(kCsi) + "?" + numbers + final);
}

// CSI without prefix and intermediates.
Ruling plain(const Parts& parts, char final, bool interactive, ScreenModes& modes) {
  if (parts.colons && final != 'm') return {};
  switch (final) {
    case 'm': modes.attributes(); return as_is(parts, final);
    case '@': case 'A': case 'B': case 'C': case 'D': case 'E': case 'F': case 'G': case 'H': case 'I': case 'J': case 'K':
    case 'L': case 'M': case 'P': case 'X': case 'Z': case '`': case 'a': case 'b': case 'd': case 'e': case 'f': case 'g': case 'u':
      return as_is(parts, final);
    case 'S': case 'T':  // more parameters of T: mouse highlighting, which waits for an answer
      return parts.count <= 1 ? as_is(parts, final) : Ruling{};
    case 'r': modes.scroll_region(); return as_is(parts, final);
    case 's':
      if (parts.count > 0) modes.scroll_region();
      return as_is(parts, final);
    case 'h': case 'l':  // insert mode; not keyboard lock, local echo or new-line mode
      if (parts.count != 1 || first(parts) != 4) return {};
      modes.insert_mode(final == 'h');
      return as_is(parts, final);
    case 'c': return first(parts) == 0 ? query(parts, final, interactive) : Ruling{};
    case 'n': return first(parts) == 5 || first(parts) == 6 ? query(parts, final, interactive) : Ruling{};
    case 't': {  // window operations: sizes are told; the title stack is kept; nothing is moved, resized or reported
      const auto operation = first(parts);
      if (operation == 14 || operation == 16 || operation == 18) return query(parts, final, interactive);
      const auto which = parts.count > 1 ? parts.values[1] : 0;
      return (operation == 22 || operation == 23) && which <= 2 && parts.count <= 2 ? as_is(parts, final) : Ruling{};
    }
    default: return {};
  }
}

Ruling with_intermediates(const Parts& parts, char final, bool interactive, ScreenModes& modes) {
  if (parts.intermediates == "$" && final == 'p' && (parts.prefix == 0 || parts.prefix == '?')) return query(parts, final, interactive);
  if (parts.prefix != 0) return {};
  if (parts.intermediates == " ") {
    if (final == 'q') modes.cursor_style();
    return final == 'q' || final == '@' || final == 'A' ? as_is(parts, final) : Ruling{};
  }
  if (parts.intermediates == "!" && final == 'p') {
    modes.soft_reset();
    return as_is(parts, final);
  }
  if (parts.intermediates == "'") return final == '}' || final == '~' ? as_is(parts, final) : Ruling{};
  return {};
}

// The kitty keyboard protocol and xterm's modifyOtherKeys; they change input only.
Ruling keyboard(const Parts& parts, char final, ScreenModes& modes) {
  const auto count = std::max(first(parts), 1U);
  if (final == 'u' && parts.prefix == '>') modes.keyboard_push();
  else if (final == 'u' && parts.prefix == '<') modes.keyboard_pop(count);
  else if (final == 'u' && parts.prefix == '=') modes.keyboard_set();
  else if ((final == 'm' || final == 'n') && parts.prefix == '>' && first(parts) == 4) modes.modify_other_keys();
  else return {};
  return as_is(parts, final);
}

std::string clean_title(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t code = 0;
    const auto length = utf8_character(text, code);
    if (length == 0) {
      text.remove_prefix(1);
      continue;
    }
    const bool invisible = code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
                           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
    if (!invisible) {
      if (out.size() + length > kMaxTitle) break;
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

bool is_web_link(std::string_view uri) {
  const auto lower = ascii_lower(uri.substr(0, 8));
  std::size_t start = 0;
  if (lower.starts_with("https://")) start = 8;
  else if (lower.starts_with("http://")) start = 7;
  else return false;
  if (uri.size() > kMaxUri || uri.size() == start) return false;
  for (const char c : uri) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  // "https://good.example@evil.example/" names a user, and misleads.
  const auto authority = uri.substr(start, uri.find_first_of("/?#", start) - start);
  return authority.find_first_of("@\\") == std::string_view::npos;
}

// OSC 8 ; parameters ; URI. A refused link becomes the end of a link, so its text never belongs to the one before.
Ruling link(std::string_view rest, ScreenModes& modes) {
  const auto semicolon = rest.find(';');
  const auto uri = semicolon == std::string_view::npos ? std::string_view{} : rest.substr(semicolon + 1);
  if (!is_web_link(uri)) {
    modes.link(false);
    return pass("\x1b]8;;\x1b\\");
  }
  std::string id;
  for (const auto& parameter : split(rest.substr(0, semicolon), ':')) {
    if (!parameter.starts_with("id=") || parameter.size() > kMaxLinkId) continue;
    const bool safe = std::all_of(parameter.begin(), parameter.end(), [](char c) { return c >= 0x21 && c <= 0x7e; });
    if (safe) id = parameter;
  }
  modes.link(true);
  return pass("\x1b]8;" + id + ";" + std::string(uri) + "\x1b\\");
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 3 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::size_t utf8_character(std::string_view text, char32_t& code) {
  if (text.empty()) return 0;
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = at(0);
  if (lead < 0x80) return code = lead, 1;
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
  if (length == 0) return 0;
  code = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
    code = (code << 6) | (at(i) & 0x3fU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  return length;
}

Ruling rule_escape(std::string_view intermediates, char final, bool interactive, ScreenModes& modes) {
  const auto whole = "\x1b" + std::string(intermediates) + final;
  if (intermediates.empty()) {
    switch (final) {
      case '7': case '8': case 'D': case 'E': case 'H': case 'M': return pass(whole);
      case '=': case '>':
        if (!interactive) return {};
        modes.keypad(final == '=');
        return pass(whole);
      case 'c':  // a full reset would undo the user's own settings: the same look, the soft way
        modes.soft_reset();
        return pass("\x1b[!p\x1b[H\x1b[2J");
      default: return {};
    }
  }
  // Character sets: line drawing, ASCII, UK. Never ESC % (leaving UTF-8) or ESC SP (8-bit controls).
  const bool designates = intermediates.size() == 1 && std::string_view("()*+").find(intermediates[0]) != std::string_view::npos;
  if (!designates || std::string_view("0AB").find(final) == std::string_view::npos) return {};
  modes.charset();
  return pass(whole);
}

Ruling rule_control(std::string_view body, char final, bool interactive, ScreenModes& modes) {
  const auto parsed = parse(body);
  if (!parsed) return {};
  const auto& parts = *parsed;
  if (!parts.intermediates.empty()) return parts.colons ? Ruling{} : with_intermediates(parts, final, interactive, modes);
  if (parts.prefix == 0) return plain(parts, final, interactive, modes);
  if (parts.colons) return {};
  if (parts.prefix == '?') {
    switch (final) {
      case 'h': case 'l': return private_modes(parts, final, interactive, modes);
      case 'J': case 'K': return as_is(parts, final);
      case 'n': return first(parts) == 6 || first(parts) == 996 ? query(parts, final, interactive) : Ruling{};
      case 'u': case 'm': return query(parts, final, interactive);
      default: return {};
    }
  }
  if (parts.prefix == '>' && (final == 'c' || final == 'q')) return first(parts) == 0 ? query(parts, final, interactive) : Ruling{};
  return interactive ? keyboard(parts, final, modes) : Ruling{};
}

Ruling rule_command(std::string_view body, bool interactive, ScreenModes& modes) {
  const auto semicolon = body.find(';');
  const auto number = body.substr(0, semicolon);
  const auto rest = semicolon == std::string_view::npos ? std::string_view{} : body.substr(semicolon + 1);
  if (number == "0" || number == "1" || number == "2") {
    return pass("\x1b]" + std::string(number) + ";" + clean_title(rest) + "\x07");
  }
  if (number == "8") return link(rest, modes);
  // Colours are asked for (the answer is a colour, nothing that a program wrote) but never set: invisible text would outlive the session.
  if (number == "10" || number == "11" || number == "12") {
    return interactive && rest == "?" ? Ruling{Verdict::kQuery, "\x1b]" + std::string(number) + ";?\x1b\\"} : Ruling{};
  }
  if (number == "4") {
    const auto index = rest.substr(0, rest.find(';'));
    const bool asks = is_number(index) && rest.size() == index.size() + 2 && rest.ends_with(";?");
    return interactive && asks ? Ruling{Verdict::kQuery, "\x1b]4;" + std::string(rest) + "\x1b\\"} : Ruling{};
  }
  // A notification's text would be the agent's, in the desktop's own frame: the user hears a bell instead. "9;4;…" is ConEmu's progress.
  if (number == "9" && !(rest.size() > 1 && rest[1] == ';')) return pass("\x07");
  if (number == "777" && rest.starts_with("notify;")) return pass("\x07");
  return {};
}

}  // namespace locki::term
