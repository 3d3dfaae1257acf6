#include "term/picker.h"

#include <algorithm>

#include "base/strings.h"
#include "term/fuzzy.h"
#include "term/screen_rules.h"

namespace locki::term {
namespace {

constexpr std::size_t kMaxQuery = 200;

void erase_character(std::string& text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();
  if (!text.empty()) text.pop_back();
}

void erase_word(std::string& text) {
  while (!text.empty() && text.back() == ' ') text.pop_back();
  while (!text.empty() && text.back() != ' ') text.pop_back();
}

struct Choice {
  std::string query;
  std::vector<std::size_t> matches;
  std::size_t selected = 0, top = 0;
};

PickerFrame frame_of(const std::string& prompt, const std::vector<PickerItem>& items, Choice& choice, std::size_t rows) {
  rows = std::max<std::size_t>(rows, 1);
  if (choice.selected < choice.top) choice.top = choice.selected;
  if (choice.selected >= choice.top + rows) choice.top = choice.selected - rows + 1;
  PickerFrame frame{.prompt = prompt, .query = choice.query, .lines = {}, .matches = choice.matches.size(), .total = items.size()};
  for (std::size_t i = choice.top; i < std::min(choice.top + rows, choice.matches.size()); ++i) {
    const auto& item = items[choice.matches[i]];
    frame.lines.push_back({printable(item.name), printable(item.detail), i == choice.selected});
  }
  return frame;
}

std::size_t moved(const Choice& choice, Key::Kind kind, std::size_t rows) {
  const auto last = choice.matches.empty() ? 0 : choice.matches.size() - 1;
  switch (kind) {
    case Key::Kind::kUp: return choice.selected == 0 ? last : choice.selected - 1;
    case Key::Kind::kDown: return choice.selected >= last ? 0 : choice.selected + 1;
    case Key::Kind::kPageUp: return choice.selected - std::min(choice.selected, rows);
    case Key::Kind::kPageDown: return std::min(choice.selected + rows, last);
    case Key::Kind::kHome: return 0;
    case Key::Kind::kEnd: return last;
    default: return choice.selected;
  }
}

std::optional<Key> escape_key(std::string& bytes, bool last) {
  static constexpr std::pair<std::string_view, Key::Kind> kSequences[] = {
      {"\x1b[A", Key::Kind::kUp},      {"\x1b[B", Key::Kind::kDown},      {"\x1bOA", Key::Kind::kUp},    {"\x1bOB", Key::Kind::kDown},
      {"\x1b[5~", Key::Kind::kPageUp}, {"\x1b[6~", Key::Kind::kPageDown}, {"\x1b[H", Key::Kind::kHome},  {"\x1b[F", Key::Kind::kEnd},
      {"\x1bOH", Key::Kind::kHome},    {"\x1bOF", Key::Kind::kEnd},       {"\x1b[1~", Key::Kind::kHome}, {"\x1b[4~", Key::Kind::kEnd},
  };
  for (const auto& [sequence, kind] : kSequences) {
    if (!bytes.starts_with(sequence)) continue;
    bytes.erase(0, sequence.size());
    return Key{kind, ""};
  }
  if (bytes.size() == 1) {
    if (!last) return std::nullopt;
    bytes.clear();
    return Key{Key::Kind::kEscape, ""};
  }
  if (bytes[1] != '[' && bytes[1] != 'O') {  // Alt and a key: the key is left out
    bytes.erase(0, 2);
    return Key{};
  }
  const auto final = std::find_if(bytes.begin() + 2, bytes.end(), [](char c) { return c >= 0x40 && c <= 0x7e; });
  if (final == bytes.end() && !last && bytes.size() < 64) return std::nullopt;
  bytes.erase(bytes.begin(), final == bytes.end() ? final : final + 1);
  return Key{};
}

}  // namespace

std::optional<Key> next_key(std::string& bytes, bool last) {
  if (bytes.empty()) return std::nullopt;
  const char c = bytes.front();
  const auto take = [&](Key::Kind kind) {
    bytes.erase(0, 1);
    return Key{kind, ""};
  };
  switch (c) {
    case '\x1b': return escape_key(bytes, last);
    case '\r': case '\n': return take(Key::Kind::kEnter);
    case '\x7f': case '\b': return take(Key::Kind::kBackspace);
    case '\x03': case '\x04': case '\x07': return take(Key::Kind::kEscape);  // Ctrl-C, Ctrl-D, Ctrl-G
    case '\x10': case '\x0b': return take(Key::Kind::kUp);                   // Ctrl-P, Ctrl-K
    case '\x0e': case '\t': return take(Key::Kind::kDown);                   // Ctrl-N, Tab
    case '\x15': return take(Key::Kind::kEraseLine);
    case '\x17': return take(Key::Kind::kEraseWord);
    case '\x01': return take(Key::Kind::kHome);
    case '\x05': return take(Key::Kind::kEnd);
    default: break;
  }
  if (static_cast<unsigned char>(c) < 0x20) return take(Key::Kind::kOther);
  char32_t code = 0;
  const auto length = utf8_character(bytes, code);
  if (length == 0) {
    if (!last && bytes.size() < 4 && static_cast<unsigned char>(c) >= 0xc2) return std::nullopt;
    return take(Key::Kind::kOther);
  }
  Key key{Key::Kind::kText, bytes.substr(0, length)};
  bytes.erase(0, length);
  return key;
}

Result<std::optional<std::size_t>> pick(PickerUi& ui, const std::string& prompt, const std::vector<PickerItem>& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name);
  Choice choice;
  choice.matches = fuzzy_rank("", names);
  for (;;) {
    ui.draw(frame_of(prompt, items, choice, ui.rows()));
    TRY_ASSIGN(const auto key, ui.read_key());
    const auto query = choice.query;
    switch (key.kind) {
      case Key::Kind::kEnter:
        if (!choice.matches.empty()) return choice.matches[choice.selected];
        break;
      case Key::Kind::kEscape:
      case Key::Kind::kClosed: return std::nullopt;
      case Key::Kind::kText:
        if (choice.query.size() + key.text.size() <= kMaxQuery) choice.query += key.text;
        break;
      case Key::Kind::kBackspace: erase_character(choice.query); break;
      case Key::Kind::kEraseWord: erase_word(choice.query); break;
      case Key::Kind::kEraseLine: choice.query.clear(); break;
      default: choice.selected = moved(choice, key.kind, ui.rows());
    }
    if (choice.query != query) {
      choice.matches = fuzzy_rank(choice.query, names);
      choice.selected = choice.top = 0;
    }
  }
}

}  // namespace locki::term
