// The filter between an agent's screen and the user's terminal.
//
// It lets through what draws (text, colours, cursor, alternate screen, mouse and keyboard modes, synchronised output, titles, web
// links) and drops what acts on the host: clipboard (OSC 52), file transfer and other OSC 1337, notifications' text, colours and fonts of the
// terminal, printing, window operations, device control strings, APC, PM, SOS, and every query whose answer carries text that a program
// put there before (title, status string, checksum, answerback): those would be typed into the session, or into the shell after it.
// Queries with fixed answers (device attributes, cursor position, colours, keyboard flags) pass in an interactive session only.
//
// It is an allow-list. What comes out is a sequence of complete units: well-formed UTF-8 text, C0 controls of the list, and sequences rebuilt in
// 7-bit form; so the terminal is never left in the middle of one, filtering twice changes nothing, and how the input is cut makes no difference.
// C1 controls count in both their forms (one byte, and U+0080..U+009F in UTF-8). Source: ECMA-48; xterm's ctlseqs; the kitty keyboard protocol.
//
// Not thread-safe. Memory: at most kMaxSequence bytes held back. Dropped strings are skipped without being stored.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "term/screen_modes.h"

namespace locki::term {

class ScreenFilter {
 public:
  static constexpr std::size_t kMaxSequence = 4096;

  struct Options {
    // Somebody reads what the terminal sends. Otherwise queries are dropped, and so are modes that change or add to the terminal's input.
    bool interactive = false;
  };
  explicit ScreenFilter(Options options) : options_(options) {}

  // Appends to `out` what may reach the terminal. An incomplete sequence at the end is kept for the next call.
  void filter(ByteView in, std::string& out);
  void filter(std::string_view in, std::string& out) { filter(as_bytes(in), out); }

  // What has to be written to give the terminal back as it was found. "" when nothing needs it.
  std::string farewell() const { return modes_.farewell(); }
  // Grows whenever farewell() may have changed.
  std::uint64_t generation() const { return modes_.generation(); }
  // A query went through: an answer may still be on its way when the session ends.
  bool queried() const { return queried_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  enum class State : std::uint8_t {
    kGround,
    kUtf8,           // inside a character of more than one byte
    kEscape,         // after ESC, and its intermediates
    kControl,        // CSI …
    kControlIgnore,  // a CSI that cannot be valid any more
    kString,         // OSC, being kept
    kStringIgnore,   // DCS, SOS, PM, APC, ESC k, or an OSC that grew too long
  };

  // Each takes one byte in its state. False: the byte does not belong to what was begun; the state is kGround and it starts something new.
  bool ground(std::uint8_t byte, std::string& out);
  bool utf8(std::uint8_t byte, std::string& out);
  bool escape(std::uint8_t byte, std::string& out);
  bool control(std::uint8_t byte, std::string& out);
  bool string(std::uint8_t byte, std::string& out);

  void c1(std::uint8_t code, std::string& out);
  void c0(std::uint8_t byte, std::string& out);
  void begin(State state);
  void end_string(std::string& out);
  void finish_escape(char final, std::string& out);
  void finish_control(char final, std::string& out);
  void finish_command(std::string_view body, std::string& out);
  void drop() { ++dropped_; }

  Options options_;
  State state_ = State::kGround;
  bool in_string_ = false;  // kEscape: the ESC came inside a string and may be the beginning of its end (ESC \)
  bool bell_ends_ = false;  // kString*: BEL ends it, too (OSC)
  std::string held_;        // of the sequence so far, without its introducer
  std::array<char, 4> character_{};  // of kUtf8
  std::uint8_t have_ = 0, want_ = 0;
  std::uint8_t lead_ = 0;  // kString*: the first byte of the character that is under way
  ScreenModes modes_;
  bool queried_ = false;
  std::uint64_t dropped_ = 0;
};

}  // namespace locki::term
