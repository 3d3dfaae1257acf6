// A fuzzy picker: type to filter, arrows to move, Enter to take, Escape to leave. What it shows and reads goes through PickerUi, so tests
// drive it with scripted keys. Blocking; one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace locki::term {

struct PickerItem {
  std::string name;    // matched against, and what is picked
  std::string detail;  // shown dimmed beside it
};

struct Key {
  enum class Kind { kText, kUp, kDown, kPageUp, kPageDown, kHome, kEnd, kEnter, kEscape, kBackspace, kEraseWord, kEraseLine, kClosed, kOther };
  Kind kind = Kind::kOther;
  std::string text;  // of kText: one character
};

struct PickerFrame {
  std::string prompt, query;
  struct Line {
    std::string name, detail;
    bool selected = false;
  };
  std::vector<Line> lines;     // at most as many as asked for
  std::size_t matches = 0, total = 0;
};

class PickerUi {
 public:
  virtual ~PickerUi() = default;
  virtual Result<Key> read_key() = 0;
  virtual void draw(const PickerFrame& frame) = 0;
  virtual std::size_t rows() const = 0;  // room for lines
};

// The index of the picked item; nullopt when the user left.
Result<std::optional<std::size_t>> pick(PickerUi& ui, const std::string& prompt, const std::vector<PickerItem>& items);

// On the terminal `in`, drawing on `out` below the cursor and cleaning up after itself. kUsage when either is no terminal.
Result<std::optional<std::size_t>> pick_on_terminal(int in, int out, bool colour, const std::string& prompt, const std::vector<PickerItem>& items);

// Splits what a terminal sends into keys: pure, for pick_on_terminal and its tests. Takes from the front of `bytes`; nullopt: more is needed.
// `last`: nothing more is coming for now, so a lone ESC is the Escape key.
std::optional<Key> next_key(std::string& bytes, bool last);

}  // namespace locki::term
