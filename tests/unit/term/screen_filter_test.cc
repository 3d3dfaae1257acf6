#include "term/screen_filter.h"

#include <gtest/gtest.h>

#include <random>

#include "term/screen_rules.h"

namespace locki::term {
namespace {

std::string filtered(std::string_view in, bool interactive = true) {
  ScreenFilter filter({.interactive = interactive});
  std::string out;
  filter.filter(in, out);
  return out;
}

// Shown in failures: escapes readable.
std::string shown(std::string_view bytes) { return printable(bytes, 4000); }

struct Case {
  const char* what;
  std::string in, out;
};

class Table : public ::testing::TestWithParam<Case> {};

TEST_P(Table, ComesOutAsWritten) {
  const auto& c = GetParam();
  EXPECT_EQ(shown(filtered(c.in)), shown(c.out)) << c.what;
}

const Case kDrawing[] = {
    {"text", "hello\r\n\tworld", "hello\r\n\tworld"},
    {"UTF-8", "žluťoučký 漢字 👩‍💻", "žluťoučký 漢字 👩‍💻"},
    {"colours", "\x1b[1;38;5;208mx\x1b[38:2::1:2:3my\x1b[m", "\x1b[1;38;5;208mx\x1b[38:2::1:2:3my\x1b[m"},
    {"cursor", "\x1b[2J\x1b[H\x1b[10;20H\x1b[3A\x1b[K\x1b[2;10r", "\x1b[2J\x1b[H\x1b[10;20H\x1b[3A\x1b[K\x1b[2;10r"},
    {"alternate screen, mouse, paste", "\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h", "\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h"},
    {"synchronised output", "\x1b[?2026hx\x1b[?2026l", "\x1b[?2026hx\x1b[?2026l"},
    {"kitty keyboard", "\x1b[?u\x1b[>1u\x1b[<u\x1b[=5;1u", "\x1b[?u\x1b[>1u\x1b[<u\x1b[=5;1u"},
    {"modifyOtherKeys", "\x1b[>4;2m\x1b[>4m", "\x1b[>4;2m\x1b[>4m"},
    {"line drawing", "\x1b(0lqk\x1b(B", "\x1b(0lqk\x1b(B"},
    {"cursor style", "\x1b[6 q", "\x1b[6 q"},
    {"save and restore", "\x1b" "7\x1b" "8\x1b[s\x1b[u", "\x1b" "7\x1b" "8\x1b[s\x1b[u"},
    {"title", "\x1b]0;claude \xe2\x9c\xb3 work\x07", "\x1b]0;claude \xe2\x9c\xb3 work\x07"},
    {"title with ST", "\x1b]2;work\x1b\\", "\x1b]2;work\x07"},
    {"title stack", "\x1b[22;0t\x1b[23;0t", "\x1b[22;0t\x1b[23;0t"},
    {"web link", "\x1b]8;id=a;https://example.org/x?y#z\x07link\x1b]8;;\x07", "\x1b]8;id=a;https://example.org/x?y#z\x1b\\link\x1b]8;;\x1b\\"},
    {"8-bit CSI passes as 7-bit", "\x9b" "31m", "\x1b[31m"},
    {"C1 in UTF-8 passes as 7-bit", "\xc2\x9b" "31m", "\x1b[31m"},
    {"a reset becomes a soft one", "\x1b" "c", "\x1b[!p\x1b[H\x1b[2J"},
    {"fixed answers", "\x1b[c\x1b[>c\x1b[6n\x1b[?2026$p\x1b]11;?\x07\x1b]4;7;?\x07\x1b[14t", "\x1b[c\x1b[>c\x1b[6n\x1b[?2026$p\x1b]11;?\x1b\\\x1b]4;7;?\x1b\\\x1b[14t"},
};
INSTANTIATE_TEST_SUITE_P(Drawing, Table, ::testing::ValuesIn(kDrawing));

const Case kHostile[] = {
    {"clipboard write", "a\x1b]52;c;cm0gLXJm\x07z", "az"},
    {"clipboard read", "\x1b]52;c;?\x1b\\", ""},
    {"clipboard, 8-bit", "\x9d" "52;c;cm0=\x9cz", "z"},
    {"clipboard, C1 in UTF-8", "\xc2\x9d" "52;c;cm0=\xc2\x9cz", "z"},
    {"clipboard with a leading zero", "\x1b]052;c;cm0=\x07", ""},
    {"clipboard, kitty's way", "\x1b]5522;type=read\x07", ""},
    {"iTerm2 file", "\x1b]1337;File=name=eA==;inline=0:AAAA\x07", ""},
    {"iTerm2 upload", "\x1b]1337;RequestUpload=format=tgz\x07", ""},
    {"font", "\x1b]50;?\x07", ""},
    {"working directory", "\x1b]7;file://host/etc\x07", ""},
    {"VS Code command line", "\x1b]633;E;rm -rf ~\x07", ""},
    {"prompt marks", "\x1b]133;A\x07", ""},
    {"colours set", "\x1b]11;#000000\x07\x1b]4;1;#000\x07\x1b]104\x07", ""},
    {"colour set hidden behind a question", "\x1b]4;1;?;2;#fff\x07", ""},
    {"notification becomes a bell", "\x1b]9;pay me\x07\x1b]777;notify;a;b\x07", "\x07\x07"},
    {"title report", "\x1b[21t\x1b[20t", ""},
    {"window operations", "\x1b[2t\x1b[3;0;0t\x1b[8;5;5t\x1b[9;1t\x1b[11t", ""},
    {"status string", "\x1bP$qm\x1b\\z", "z"},
    {"termcap query", "\x1bP+q544e\x1b\\z", "z"},
    {"tmux passthrough", "\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\z", "z"},
    {"sixel", "\x1bPq#0;2;0;0;0#0~~\x1b\\z", "z"},
    {"user-defined keys", "\x1bP0;1|17/726d\x1b\\z", "z"},
    {"kitty graphics reads files", "\x1b_Gt=f,a=T;L2V0Yy9wYXNzd2Q=\x1b\\z", "z"},
    {"PM and SOS", "\x1b^x\x1b\\\x1bXy\x1b\\z", "z"},
    {"screen's title", "\x1bkrm -rf\x1b\\z", "z"},
    {"ENQ and NUL", "a\x05\x00z", "a"},
    {"answerback as DECID", "\x1bZ", ""},
    {"media copy", "\x1b[5i\x1b[?5i\x1b[4i", ""},
    {"screen checksum", "\x1b[1;1;1;1;9;9*y", ""},
    {"presentation state", "\x1b[1$w\x1b[2$w", ""},
    {"keyboard lock, local echo, new-line mode", "\x1b[2h\x1b[12l\x1b[20h", ""},
    {"VT52, window width, highlighting", "\x1b[?2l\x1b[?3h\x1b[?40h\x1b[?1001h", ""},
    {"only the harmless of several modes", "\x1b[?25;3;2004h", "\x1b[?25;2004h"},
    {"leaving UTF-8 or 7 bits", "\x1b%@\x1b G\x1b[62;2\"p", ""},
    {"locking shifts", "\x1bn\x1bo\x1b|", ""},
    {"mouse highlight", "\x1b[1;2;3;4;5T", ""},
    {"LEDs and tests", "\x1b[1q\x1b[2;1y", ""},
    {"link to a file", "\x1b]8;;file:///etc/passwd\x07x", "\x1b]8;;\x1b\\x"},
    {"link to a program's scheme", "\x1b]8;;vscode://x\x07", "\x1b]8;;\x1b\\"},
    {"link with a misleading user", "\x1b]8;;https://good.example@evil.example/\x07", "\x1b]8;;\x1b\\"},
    {"link with a control byte", "\x1b]8;;https://a/\x01\x07", "\x1b]8;;\x1b\\"},
    {"title with controls inside", "\x1b]0;a\x01" "b\xc2\x9b" "c\xe2\x80\xae" "d\x07", "\x1b]0;abcd\x07"},
    {"a string broken off by CAN", "\x1b]52;c;eA==\x18z", "z"},
    {"a string broken off by a sequence", "\x1b]0;a\x1b[31mz", "\x1b[31mz"},
    {"CSI broken off by ESC", "\x1b[3\x1b[1mz", "\x1b[1mz"},
    {"CSI broken off by a character", "\x1b[3\xc3\xa9z", "\xc3\xa9z"},
    {"a control inside CSI is left out", "\x1b[3\n1m", "\x1b[31m"},
    {"huge numbers", "\x1b[999999999999C", ""},
    {"parameters in the wrong place", "\x1b[?$1p\x1b[1>u\x1b[$?m", ""},
    {"invalid UTF-8", "a\xff" "b\xe2\x82" "c\xc0\xaf" "d\xed\xa0\x80", "a\xef\xbf\xbd" "b\xef\xbf\xbd" "c\xef\xbf\xbd\xef\xbf\xbd" "d\xef\xbf\xbd"},
    {"a continuation byte that looks like ST", "\x1b]0;\xe2\x9c\x93 ok\x07z", "\x1b]0;\xe2\x9c\x93 ok\x07z"},
    {"DEL", "a\x7fz", "az"},
};
INSTANTIATE_TEST_SUITE_P(Hostile, Table, ::testing::ValuesIn(kHostile));

TEST(ScreenFilter, WithoutAReaderNothingMakesTheTerminalSend) {
  EXPECT_EQ(shown(filtered("\x1b[c\x1b[6n\x1b]11;?\x07\x1b[14t\x1b[?u\x1b[>q\x1b[?1000h\x1b[?1004h\x1b[?2004h\x1b[>1u\x1b=z", false)), "z");
  EXPECT_EQ(shown(filtered("\x1b[31m\x1b[?25l", false)), shown("\x1b[31m\x1b[?25l"));
}

TEST(ScreenFilter, HoldsBackAnIncompleteSequence) {
  ScreenFilter filter({.interactive = true});
  std::string out;
  filter.filter("ab\x1b[3", out);
  EXPECT_EQ(out, "ab");
  filter.filter("1mc\xe2\x82", out);
  EXPECT_EQ(out, "ab\x1b[31mc");
  filter.filter("\xac", out);
  EXPECT_EQ(out, "ab\x1b[31mc\xe2\x82\xac");
}

TEST(ScreenFilter, MemoryStaysBounded) {
  ScreenFilter filter({.interactive = true});
  std::string out;
  filter.filter("\x1b]0;", out);
  const std::string chunk(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) filter.filter(chunk, out);
  filter.filter("\x07" "a\x1b[", out);
  filter.filter(std::string(1 << 20, '1'), out);
  filter.filter("mb", out);
  EXPECT_EQ(out, "ab");
}

TEST(ScreenFilter, RemembersHowToGiveTheTerminalBack) {
  ScreenFilter filter({.interactive = true});
  std::string out;
  EXPECT_EQ(filter.farewell(), "");
  filter.filter("\x1b[?1049h\x1b[>1u\x1b[?25l\x1b[?1000;2004h", out);
  EXPECT_EQ(shown(filter.farewell()), shown("\x1b[<1u\x1b[?25h\x1b[?1000l\x1b[?2004l\x1b[?1049l\x1b[m"));
  filter.filter("\x1b[<u\x1b[?25h\x1b[?1000;2004l\x1b[?1049l", out);
  EXPECT_EQ(filter.farewell(), "");
}

// An independent reader of what comes out: everything must be complete and of a known shape.
bool is_clean(std::string_view out) {
  while (!out.empty()) {
    char32_t code = 0;
    if (out[0] != '\x1b') {
      const auto length = utf8_character(out, code);
      if (length == 0 || (code >= 0x7f && code < 0xa0)) return false;
      if (code < 0x20 && !(code >= 7 && code <= 15)) return false;
      out.remove_prefix(length);
      continue;
    }
    if (out.size() < 2) return false;
    std::size_t end = 0;
    if (out[1] == '[') {
      end = out.find_first_not_of("0123456789;:<=>? !\"#$%&'()*+,-./", 2);
      if (end == std::string_view::npos || out[end] < 0x40 || out[end] > 0x7e || out[end] == 'i') return false;
      ++end;
    } else if (out[1] == ']') {
      end = out.find_first_of("\x07\x1b", 2);
      if (end == std::string_view::npos) return false;
      const auto number = out.substr(2, out.find_first_of(";\x07\x1b", 2) - 2);
      if (number != "0" && number != "1" && number != "2" && number != "4" && number != "8" && number != "10" && number != "11" && number != "12") return false;
      if (out[end] == '\x1b' && (end + 1 >= out.size() || out[end + 1] != '\\')) return false;
      end += out[end] == '\x1b' ? 2 : 1;
    } else if (std::string_view("()*+").find(out[1]) != std::string_view::npos) {
      end = 3;
      if (out.size() < 3) return false;
    } else {
      end = 2;
      if (std::string_view("78DEHM=>").find(out[1]) == std::string_view::npos) return false;
    }
    out.remove_prefix(end);
  }
  return true;
}

std::vector<std::string> pieces() {
  std::vector<std::string> all{"\x1b", "\x9b", "\x9d", "\x90", "\x9c", "\xc2", "\xe2\x9c", "\x1b]", "\x1b[", "\x1bP", "\x1b\\", "\x07", "\x18", ";", "?", "52", "h", "m", "\n", "漢", "\xf0\x9f"};
  for (const auto& c : kDrawing) all.push_back(c.in);
  for (const auto& c : kHostile) all.push_back(c.in);
  return all;
}

// Random compositions and mutations of everything above: always clean, the same however it is cut, and unchanged by a second pass.
TEST(ScreenFilter, AnyInputComesOutCleanHoweverItIsCut) {
  std::mt19937 random(20240607);
  const auto all = pieces();
  for (int round = 0; round < 20'000; ++round) {
    std::string in;
    for (unsigned n = random() % 8 + 1; n > 0; --n) in += all[random() % all.size()];
    for (unsigned n = random() % 4; n > 0 && !in.empty(); --n) {
      const auto at = random() % in.size();
      if (random() % 2 == 0) in[at] = static_cast<char>(random() % 256);
      else in.erase(at, 1);
    }
    const auto whole = filtered(in);
    ASSERT_TRUE(is_clean(whole)) << shown(in) << "\n gives " << shown(whole);

    ScreenFilter bytewise({.interactive = true});
    std::string single;
    for (const char c : in) bytewise.filter(std::string_view(&c, 1), single);
    ASSERT_EQ(shown(whole), shown(single)) << shown(in);

    ASSERT_EQ(shown(filtered(whole)), shown(whole)) << shown(in);
  }
}

TEST(ScreenFilter, PlainTextTakesTheFastWayUnchanged) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i % 97 == 0 ? '\n' : ' ' + i % 95);
  for (std::size_t offset = 0; offset < 16; ++offset) EXPECT_EQ(filtered(std::string_view(text).substr(offset)), text.substr(offset));
}

}  // namespace
}  // namespace locki::term
