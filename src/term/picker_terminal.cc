#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "sys/fd.h"
#include "term/picker.h"
#include "term/raw_mode.h"
#include "term/style.h"
#include "term/width.h"

namespace locki::term {
namespace {

constexpr std::size_t kMostRows = 12;

class TerminalUi : public PickerUi {
 public:
  TerminalUi(int in, int out, bool colour) : in_(in), out_(out), style_(colour) {}
  ~TerminalUi() override { write("\r\x1b[J"); }

  Result<Key> read_key() override {
    for (;;) {
      if (auto key = next_key(bytes_, false)) return *key;
      if (!bytes_.empty()) {
        // A lone ESC and the beginning of an arrow key look alike: what belongs together comes at once.
        TRY_ASSIGN(const bool more, sys::wait_readable(in_, std::chrono::milliseconds(50)));
        if (!more) {
          if (auto key = next_key(bytes_, true)) return *key;
          bytes_.clear();
          continue;
        }
      }
      std::uint8_t buffer[256];
      TRY_ASSIGN(const auto n, sys::read_some(in_, buffer, sizeof buffer));
      if (n == 0) return Key{Key::Kind::kClosed, ""};
      bytes_.append(reinterpret_cast<const char*>(buffer), n);
    }
  }

  void draw(const PickerFrame& frame) override {
    const auto columns = size().first - 1;
    std::string text = "\r\x1b[J";
    const auto head = fit(frame.prompt + " " + printable(frame.query), columns);
    text += style_.bold(head);
    std::size_t lines = 0;
    for (const auto& line : frame.lines) {
      const auto name = fit((line.selected ? "> " : "  ") + line.name, columns);
      const auto used = display_width(name);
      const auto detail = used + 2 < columns ? "  " + fit(line.detail, columns - used - 2) : "";
      text += "\r\n" + (line.selected ? style_.cyan(name) : name) + style_.dim(detail);
      ++lines;
    }
    if (frame.lines.empty()) {
      text += "\r\n" + style_.dim(fit("  nothing matches", columns));
      ++lines;
    }
    text += "\x1b[" + std::to_string(lines) + "A\r";
    if (const auto right = display_width(head); right > 0) text += "\x1b[" + std::to_string(right) + "C";
    write(text);
  }

  std::size_t rows() const override { return std::clamp<std::size_t>(size().second - 2, 1, kMostRows); }

 private:
  void write(std::string_view text) { std::ignore = sys::write_all(out_, text); }
  std::pair<std::size_t, std::size_t> size() const {
    winsize size{};
    if (::ioctl(out_, TIOCGWINSZ, &size) != 0 || size.ws_col < 10 || size.ws_row < 4) return {80, 24};
    return {size.ws_col, size.ws_row};
  }

  int in_, out_;
  Style style_;
  std::string bytes_;
};

}  // namespace

Result<std::optional<std::size_t>> pick_on_terminal(int in, int out, bool colour, const std::string& prompt,
                                                    const std::vector<PickerItem>& items) {
  if (::isatty(out) != 1) return fail(ErrorKind::kUsage, "this is not a terminal");
  TRY_ASSIGN(auto raw, RawMode::enter(in, {.output = true}));
  TerminalUi ui(in, out, colour);
  return pick(ui, prompt, items);
}

}  // namespace locki::term
