// The allow-list of the screen filter: which control sequences pass, and in which form. Pure apart from the modes that it notes down.
#pragma once

#include <string>
#include <string_view>

#include "term/screen_modes.h"

namespace locki::term {

enum class Verdict { kDrop, kPass, kQuery };  // kQuery: passes, and the terminal will answer

// What a sequence becomes: nothing (kDrop) or exactly `text`.
struct Ruling {
  Verdict verdict = Verdict::kDrop;
  std::string text;
};

// ESC intermediates final.
Ruling rule_escape(std::string_view intermediates, char final, bool interactive, ScreenModes& modes);
// CSI body final; `body` is what stands between: parameters and intermediates.
Ruling rule_control(std::string_view body, char final, bool interactive, ScreenModes& modes);
// OSC body.
Ruling rule_command(std::string_view body, bool interactive, ScreenModes& modes);

// One well-formed UTF-8 character from the front: its length, 0 when there is none. `code` gets the code point.
std::size_t utf8_character(std::string_view text, char32_t& code);

}  // namespace locki::term
