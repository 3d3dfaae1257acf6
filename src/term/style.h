// Colours, only where they are wanted. A value type; no thread rules.
#pragma once

#include <string>
#include <string_view>

namespace locki::term {

// Wraps text in SGR sequences when enabled, else gives it back as it is. The text must be printable already.
class Style {
 public:
  explicit Style(bool enabled) : enabled_(enabled) {}
  bool enabled() const { return enabled_; }

  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }
  std::string red(std::string_view text) const { return wrap("31", text); }
  std::string green(std::string_view text) const { return wrap("32", text); }
  std::string yellow(std::string_view text) const { return wrap("33", text); }
  std::string cyan(std::string_view text) const { return wrap("36", text); }

 private:
  std::string wrap(std::string_view sgr, std::string_view text) const;
  bool enabled_;
};

// What is known about one output descriptor. Found once by the caller and passed on, so that tests can say anything.
struct Facts {
  bool terminal = false;   // isatty()
  bool colour = false;     // a terminal, TERM is not "dumb" or empty, and NO_COLOR is unset or empty (https://no-color.org)
  bool moving = false;     // a terminal that can redraw a line: TERM is not "dumb" or empty
  unsigned columns = 0;    // 0 when unknown
};
// From the descriptor, and the values of TERM and NO_COLOR ("" when unset).
Facts facts_of(int fd, std::string_view term_variable, std::string_view no_color_variable);

}  // namespace locki::term
