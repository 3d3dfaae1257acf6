#include "term/screen_filter.h"

#include <cstring>

#include "term/screen_rules.h"

namespace locki::term {
namespace {

constexpr std::uint8_t kEsc = 0x1b, kBell = 0x07, kCan = 0x18, kSub = 0x1a, kDelete = 0x7f, kStringEnd = 0x9c;
constexpr std::size_t kMaxControl = 512;
constexpr std::size_t kMaxIntermediates = 2;
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

bool is_continuation(std::uint8_t byte) { return (byte & 0xc0) == 0x80; }

// Bytes of a character that begins so; 0 when none can.
std::uint8_t utf8_length(std::uint8_t lead) {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

bool plain(std::uint8_t byte) { return (byte >= 0x20 && byte < kDelete) || byte == '\n' || byte == '\r' || byte == '\t'; }

// Length of the beginning that needs no look: printable ASCII and line ends. Eight bytes at a time, the usual bit tricks:
// "x - n has its high bit and x has not" finds a byte below n (n <= 128) when no byte has its high bit.
std::size_t plain_run(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  std::size_t i = 0;
  for (;;) {
    while (i + 8 <= size) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + i, 8);
      const auto below = (word - kOnes * 0x20) & ~word;
      const auto deletes = word ^ (kOnes * kDelete);
      const auto is_delete = (deletes - kOnes) & ~deletes;
      if (((word | below | is_delete) & kHigh) != 0) break;
      i += 8;
    }
    const auto stop = i + 8 < size ? i + 8 : size;
    while (i < stop && plain(data[i])) ++i;
    if (i < stop || i == size) return i;
  }
}

// The same for characters of more than one byte, as long as they are complete, well-formed and no C1 controls.
std::size_t wide_run(std::string_view text) {
  std::size_t i = 0;
  char32_t code = 0;
  while (i < text.size() && static_cast<std::uint8_t>(text[i]) >= 0xc2) {
    const auto length = utf8_character(text.substr(i, 4), code);
    if (length == 0 || code < 0xa0) break;
    i += length;
  }
  return i;
}

}  // namespace

void ScreenFilter::filter(ByteView in, std::string& out) {
  for (std::size_t i = 0; i < in.size();) {
    if (state_ == State::kGround) {
      auto run = plain_run(in.data() + i, in.size() - i);
      run += wide_run(as_text(in.subspan(i + run)));
      out.append(reinterpret_cast<const char*>(in.data()) + i, run);
      i += run;
      if (i == in.size()) return;
      if (run > 0) continue;  // each of the two may go on where the other stopped
    }
    bool taken = false;
    switch (state_) {
      case State::kGround: taken = ground(in[i], out); break;
      case State::kUtf8: taken = utf8(in[i], out); break;
      case State::kEscape: taken = escape(in[i], out); break;
      case State::kControl:
      case State::kControlIgnore: taken = control(in[i], out); break;
      case State::kString:
      case State::kStringIgnore: taken = string(in[i], out); break;
    }
    if (taken) ++i;
  }
}

void ScreenFilter::begin(State state) {
  state_ = state;
  held_.clear();
  in_string_ = bell_ends_ = false;
  have_ = want_ = lead_ = 0;
}

bool ScreenFilter::ground(std::uint8_t byte, std::string& out) {
  if (byte < 0x20 || byte == kDelete) {
    c0(byte, out);
  } else if (byte < 0x80) {
    out += static_cast<char>(byte);
  } else if (const auto length = utf8_length(byte)) {
    begin(State::kUtf8);
    character_[0] = static_cast<char>(byte);
    have_ = 1;
    want_ = length;
  } else if (byte < 0xa0) {
    c1(byte, out);
  } else {
    out += kReplacement;
  }
  return true;
}

void ScreenFilter::c0(std::uint8_t byte, std::string& out) {
  if (byte == kEsc) return begin(State::kEscape);
  // BEL BS HT LF VT FF CR SO SI. Not: ENQ (the answerback is typed), DC1 and DC3 (flow control), NUL and the rest (nothing to see).
  if (byte >= 0x07 && byte <= 0x0f) {
    if (byte >= 0x0e) modes_.charset();
    out += static_cast<char>(byte);
  } else {
    drop();
  }
}

bool ScreenFilter::utf8(std::uint8_t byte, std::string& out) {
  if (!is_continuation(byte)) {
    out += kReplacement;
    begin(State::kGround);
    return false;
  }
  character_[have_++] = static_cast<char>(byte);
  if (have_ < want_) return true;
  const std::string_view character(character_.data(), want_);
  begin(State::kGround);
  char32_t code = 0;
  if (utf8_character(character, code) == 0) {
    out += kReplacement;
  } else if (code < 0xa0) {
    c1(static_cast<std::uint8_t>(code), out);
  } else {
    out += character;
  }
  return true;
}

// The 8-bit controls are ESC and a letter in one (ECMA-48 5.3): what they stand for is judged, and passes in its 7-bit form.
void ScreenFilter::c1(std::uint8_t code, std::string& out) {
  begin(State::kEscape);
  escape(static_cast<std::uint8_t>(code - 0x40), out);
}

bool ScreenFilter::escape(std::uint8_t byte, std::string& out) {
  if (in_string_) {
    if (byte == '\\') return end_string(out), true;
    drop();  // the string was broken off; the ESC begins something new
    begin(State::kEscape);
  }
  if (byte >= 0x80) {
    drop();
    begin(State::kGround);
    return false;
  }
  if (byte == kEsc) return begin(State::kEscape), true;
  if (byte == kCan || byte == kSub) return begin(State::kGround), true;
  if (byte < 0x20 || byte == kDelete) return true;  // terminals disagree on controls in here: they are left out
  if (byte < 0x30) {
    if (held_.size() <= kMaxIntermediates) held_ += static_cast<char>(byte);
    return true;
  }
  if (held_.empty()) {
    switch (byte) {
      case '[': return begin(State::kControl), true;
      case ']': begin(State::kString); bell_ends_ = true; return true;
      case 'P': case 'X': case '^': case '_': case 'k': return begin(State::kStringIgnore), true;  // k: the title in screen and tmux
      default: break;
    }
  }
  finish_escape(static_cast<char>(byte), out);
  return true;
}

void ScreenFilter::finish_escape(char final, std::string& out) {
  const auto ruling = rule_escape(held_, final, options_.interactive, modes_);
  if (ruling.verdict == Verdict::kDrop) drop();
  out += ruling.text;
  begin(State::kGround);
}

bool ScreenFilter::control(std::uint8_t byte, std::string& out) {
  if (byte >= 0x80) {
    drop();
    begin(State::kGround);
    return false;
  }
  if (byte == kEsc) return drop(), begin(State::kEscape), true;
  if (byte == kCan || byte == kSub) return drop(), begin(State::kGround), true;
  if (byte < 0x20 || byte == kDelete) return true;
  if (byte >= 0x40) {
    if (state_ == State::kControl) {
      finish_control(static_cast<char>(byte), out);
    } else {
      drop();
    }
    begin(State::kGround);
    return true;
  }
  if (held_.size() >= kMaxControl) state_ = State::kControlIgnore;
  if (state_ == State::kControl) held_ += static_cast<char>(byte);
  return true;
}

void ScreenFilter::finish_control(char final, std::string& out) {
  const auto ruling = rule_control(held_, final, options_.interactive, modes_);
  if (ruling.verdict == Verdict::kDrop) drop();
  if (ruling.verdict == Verdict::kQuery) queried_ = true;
  out += ruling.text;
}

// Strings may hold UTF-8, whose continuation bytes include 0x9c: only a byte outside any character, or U+009C itself, ends the string.
bool ScreenFilter::string(std::uint8_t byte, std::string& out) {
  const bool inside = want_ > 0 && is_continuation(byte);
  if (inside) {
    --want_;
    if (lead_ == 0xc2 && byte == kStringEnd) {
      if (!held_.empty()) held_.pop_back();
      return end_string(out), true;
    }
  } else {
    want_ = 0;
    if (byte == kEsc) {
      // The held text stays until the next byte tells whether this is the end.
      in_string_ = true;
      state_ = State::kEscape;
      return true;
    }
    if ((byte == kBell && bell_ends_) || byte == kStringEnd) return end_string(out), true;
    if (byte == kCan || byte == kSub) return drop(), begin(State::kGround), true;
    if (const auto length = utf8_length(byte)) {
      want_ = static_cast<std::uint8_t>(length - 1);
      lead_ = byte;
    }
  }
  if (state_ != State::kString) return true;
  if (held_.size() < kMaxSequence) {
    held_ += static_cast<char>(byte);
  } else {
    held_.clear();
    state_ = State::kStringIgnore;
  }
  return true;
}

void ScreenFilter::end_string(std::string& out) {
  // Strings that are ignored hold nothing, and no command is empty.
  const auto body = std::move(held_);
  begin(State::kGround);
  finish_command(body, out);
}

void ScreenFilter::finish_command(std::string_view body, std::string& out) {
  const auto ruling = rule_command(body, options_.interactive, modes_);
  if (ruling.verdict == Verdict::kDrop) drop();
  if (ruling.verdict == Verdict::kQuery) queried_ = true;
  out += ruling.text;
}

}  // namespace locki::term
