// The keys of a TOML document and the text of their values, for telling what changed. A reader of our own: toml++ 3.3 stops at assertions (and with NDEBUG
// assumes them) on bytes that are no TOML, and these bytes are hostile. It takes what TOML 1.0 takes, and more: values are compared as text, never
// understood. Linear; no recursion.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/strings.h"
#include "review/manifest_checks.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxNames = 8;
constexpr std::size_t kMaxAssignments = 200'000;
constexpr std::size_t kMaxParts = 32;

using Path = std::vector<std::string>;

struct Assignment {
  Path path;
  std::string value;  // without blanks and comments
};

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | ((c >> 18) & 0x07));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }

  // nullopt: it is no TOML.
  std::optional<std::vector<Assignment>> read() {
    std::vector<Assignment> all;
    Path table;
    for (;;) {
      skip_blank_lines();
      if (at_ == text_.size()) return all;
      if (text_[at_] == '[') {
        const bool array = text_.substr(at_, 2) == "[[";
        at_ += array ? 2 : 1;
        auto path = key();
        if (!path || !take(array ? "]]" : "]") || !line_ends()) return std::nullopt;
        table = std::move(*path);
        continue;
      }
      auto path = key();
      if (!path || !take("=")) return std::nullopt;
      auto text = value();
      if (!text || all.size() == kMaxAssignments || table.size() + path->size() > kMaxParts) return std::nullopt;
      Assignment assignment{table, std::move(*text)};
      assignment.path.insert(assignment.path.end(), path->begin(), path->end());
      all.push_back(std::move(assignment));
    }
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  void skip_comment() {
    if (peek() == '#') at_ = std::min(text_.find('\n', at_), text_.size());
  }
  void skip_blank_lines() {
    while (at_ < text_.size()) {
      skip_blanks();
      skip_comment();
      if (peek() != '\n' && text_.substr(at_, 2) != "\r\n") return;
      ++at_;
    }
  }
  bool take(std::string_view what) {
    skip_blanks();
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  bool line_ends() {
    skip_blanks();
    skip_comment();
    if (peek() == '\r') ++at_;
    return at_ == text_.size() || peek() == '\n';
  }

  std::optional<Path> key() {
    Path path;
    do {
      skip_blanks();
      auto part = peek() == '"' || peek() == '\'' ? quoted_part() : bare_part();
      if (!part || path.size() == kMaxParts) return std::nullopt;
      path.push_back(std::move(*part));
    } while (take("."));
    return path;
  }
  std::optional<std::string> bare_part() {
    const std::size_t start = at_;
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (!(c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-')) break;
      ++at_;
    }
    if (at_ == start) return std::nullopt;
    return std::string(text_.substr(start, at_ - start));
  }
  std::optional<std::string> quoted_part() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      if (quote == '"' && text_[at_] == '\\') {
        if (!escape(out)) return std::nullopt;
      } else {
        out += text_[at_++];
      }
    }
    if (peek() != quote) return std::nullopt;
    ++at_;
    return out;
  }
  // A key can be spelled with escapes: it is the same key.
  bool escape(std::string& out) {
    if (at_ + 1 >= text_.size()) return false;
    const char kind = text_[at_ + 1];
    at_ += 2;
    const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0) {
      static constexpr std::string_view kFrom = "btnfre\"\\", kTo = "\b\t\n\f\r\x1b\"\\";
      const auto index = kFrom.find(kind);
      if (index == std::string_view::npos) return false;
      out += kTo[index];
      return true;
    }
    const std::string hexed = std::string(8 - digits, '0') + std::string(text_.substr(at_, digits));
    const auto bytes = unhex(hexed);
    if (!bytes || bytes->size() != 4) return false;
    at_ += digits;
    append_utf8(out, std::uint32_t{(*bytes)[0]} << 24 | std::uint32_t{(*bytes)[1]} << 16 | std::uint32_t{(*bytes)[2]} << 8 | (*bytes)[3]);
    return true;
  }

  // The text of a value: to the end of the line, where no bracket or string is open.
  std::optional<std::string> value() {
    std::string out;
    std::size_t depth = 0;
    for (;;) {
      skip_blanks();
      skip_comment();
      if (at_ == text_.size() || peek() == '\n' || peek() == '\r') {
        if (depth == 0) return out.empty() ? std::nullopt : std::optional(std::move(out));
        if (at_ == text_.size()) return std::nullopt;
        ++at_;
        continue;
      }
      const char c = peek();
      if (c == '"' || c == '\'') {
        if (!string(out)) return std::nullopt;
        continue;
      }
      if (c == '[' || c == '{') ++depth;
      if ((c == ']' || c == '}') && depth-- == 0) return std::nullopt;
      out += c;
      ++at_;
    }
  }
  bool string(std::string& out) {
    const char quote = text_[at_];
    const std::string three(3, quote);
    const bool many = text_.substr(at_, 3) == three;
    const std::size_t start = at_;
    at_ += many ? 3 : 1;
    while (at_ < text_.size()) {
      if (quote == '"' && text_[at_] == '\\') {
        at_ = std::min(at_ + 2, text_.size());
      } else if (many ? text_.substr(at_, 3) == three : text_[at_] == quote) {
        at_ += many ? 3 : 1;
        // Up to two more quotes belong to the string.
        while (many && peek() == quote) ++at_;
        out += text_.substr(start, at_ - start);
        return true;
      } else if (!many && text_[at_] == '\n') {
        return false;
      } else {
        ++at_;
      }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// One of them leads to the other: what is above a key holds it, too.
bool concerns(const Path& path, const Path& key) { return std::equal(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(std::min(path.size(), key.size())), key.begin()); }

}  // namespace

std::vector<std::string> changed_toml_keys(std::string_view before, std::string_view after, const std::vector<std::string>& keys) {
  if (before == after) return {};
  const auto now = Reader(after).read();
  if (!now) return {"it is no TOML that can be read"};
  std::set<std::pair<Path, std::string>> known;
  if (auto old = Reader(before).read()) {
    for (Assignment& assignment : *old) known.emplace(std::move(assignment.path), std::move(assignment.value));
  }
  std::vector<std::string> changed;
  for (const Assignment& assignment : *now) {
    const bool asked = std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return concerns(assignment.path, split(key, '.')); });
    if (!asked || known.contains({assignment.path, assignment.value})) continue;
    std::string name = join(assignment.path, ".");
    if (changed.size() < kMaxNames && std::find(changed.begin(), changed.end(), name) == changed.end()) changed.push_back(std::move(name));
  }
  return changed;
}

}  // namespace locki::review
