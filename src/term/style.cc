#include "term/style.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace locki::term {

std::string Style::wrap(std::string_view sgr, std::string_view text) const {
  if (!enabled_ || text.empty()) return std::string(text);
  std::string out = "\x1b[";
  out.append(sgr).append("m").append(text).append("\x1b[0m");
  return out;
}

Facts facts_of(int fd, std::string_view term_variable, std::string_view no_color_variable) {
  Facts facts;
  facts.terminal = ::isatty(fd) == 1;
  if (!facts.terminal) return facts;
  facts.moving = !term_variable.empty() && term_variable != "dumb";
  facts.colour = facts.moving && no_color_variable.empty();
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0) facts.columns = size.ws_col;
  return facts;
}

}  // namespace locki::term
