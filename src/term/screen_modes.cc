#include "term/screen_modes.h"

#include <algorithm>

namespace locki::term {
namespace {

// DECAWM and DECTCEM are on by default; every other mode that the filter lets through is off.
bool on_by_default(unsigned mode) { return mode == 7 || mode == 25; }
bool is_alternate(unsigned mode) { return mode == 47 || mode == 1047 || mode == 1049; }

constexpr unsigned kDeepest = 64;  // kitty keeps fewer

}  // namespace

void ScreenModes::private_mode(unsigned mode, bool on) {
  // Blinking, reverse wrap and the meta modes belong to the user's own settings: defaults differ, and they do no harm.
  if (mode == 4 || mode == 12 || mode == 45 || mode == 1034 || mode == 1048) return;
  const bool differs = on != on_by_default(mode);
  const bool moved = differs ? changed_.insert(mode).second : changed_.erase(mode) > 0;
  if (is_alternate(mode)) alternate_ = on;
  if (moved) ++generation_;
}

void ScreenModes::insert_mode(bool on) {
  if (insert_ != on) ++generation_;
  insert_ = on;
}

void ScreenModes::keypad(bool application) {
  if (keypad_ != application) ++generation_;
  keypad_ = application;
}

void ScreenModes::keyboard_push(unsigned n) {
  depth() = std::min(depth() + std::min(n, kDeepest), kDeepest);
  ++generation_;
}

void ScreenModes::keyboard_pop(unsigned n) {
  if (depth() == 0) return;
  depth() -= std::min(n, depth());
  ++generation_;
}

void ScreenModes::link(bool open) {
  if (link_ != open) ++generation_;
  link_ = open;
}

void ScreenModes::soft_reset() {
  insert_ = keypad_ = scroll_region_ = false;
  for (const unsigned mode : {1U, 6U, 7U, 25U, 69U}) changed_.erase(mode);
  ++generation_;
}

std::string ScreenModes::farewell() const {
  std::string out;
  const auto pops = [&](unsigned depth) {
    if (depth > 0) out += "\x1b[<" + std::to_string(depth) + "u";
  };
  if (link_) out += "\x1b]8;;\x1b\\";
  if (changed_.contains(2026)) out += "\x1b[?2026l";
  if (alternate_) pops(alternate_depth_);
  for (const unsigned mode : changed_) {
    if (mode == 2026 || is_alternate(mode)) continue;
    out += "\x1b[?" + std::to_string(mode) + (on_by_default(mode) ? "h" : "l");
  }
  if (insert_) out += "\x1b[4l";
  if (keypad_) out += "\x1b>";
  if (scroll_region_) out += "\x1b" "7\x1b[r\x1b" "8";  // resetting the region moves the cursor: keep it
  for (const unsigned mode : changed_) {
    if (is_alternate(mode)) out += "\x1b[?" + std::to_string(mode) + "l";
  }
  pops(main_depth_);
  if (keyboard_set_) out += "\x1b[=0u";
  if (modify_keys_) out += "\x1b[>4m";
  if (charset_) out += "\x1b(B\x0f";
  if (cursor_style_) out += "\x1b[0 q";
  if (attributes_ || !out.empty()) out += "\x1b[m";
  return out;
}

}  // namespace locki::term
