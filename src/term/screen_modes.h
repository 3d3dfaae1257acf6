// Remembers which modes an agent's screen has switched, to switch them back when it ends without doing so. A value; not thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace locki::term {

class ScreenModes {
 public:
  void private_mode(unsigned mode, bool on);
  void insert_mode(bool on);
  void keypad(bool application);
  void attributes() { touch(attributes_); }
  void cursor_style() { touch(cursor_style_); }
  void charset() { touch(charset_); }
  void scroll_region() { touch(scroll_region_); }
  void modify_other_keys() { touch(modify_keys_); }
  void keyboard_push(unsigned n = 1);
  void keyboard_pop(unsigned n = 1);
  void keyboard_set() { touch(keyboard_set_); }
  void link(bool open);
  void soft_reset();

  std::string farewell() const;
  std::uint64_t generation() const { return generation_; }

 private:
  void touch(bool& flag) {
    if (!flag) ++generation_;
    flag = true;
  }
  unsigned& depth() { return alternate_ ? alternate_depth_ : main_depth_; }

  std::set<unsigned> changed_;  // private modes that differ from their default
  bool insert_ = false, keypad_ = false, attributes_ = false, cursor_style_ = false, charset_ = false, scroll_region_ = false;
  bool modify_keys_ = false, keyboard_set_ = false, link_ = false, alternate_ = false;
  unsigned main_depth_ = 0, alternate_depth_ = 0;  // kitty keeps one stack of keyboard flags for each screen
  std::uint64_t generation_ = 0;
};

}  // namespace locki::term
