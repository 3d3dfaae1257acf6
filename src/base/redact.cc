#include "base/redact.h"

#include <algorithm>
#include <array>

namespace locki {

namespace {

constexpr std::string_view kMark = "[redacted]";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
// The characters of base64url and of the identifiers that services build with it.
bool is_token_char(char c) { return is_alphanumeric(c) || c == '-' || c == '_'; }

struct Format {
  std::string_view prefix;
  std::size_t least;  // characters after the prefix
};

// Prefixes as their services document them; the lengths are below what is given out today, and above ordinary words.
constexpr std::array kFormats = {
    Format{"sk-ant-", 16}, Format{"sk-proj-", 16},     Format{"sk-", 32},  Format{"ghp_", 20},  Format{"gho_", 20},  Format{"ghu_", 20},
    Format{"ghs_", 20},    Format{"ghr_", 20},         Format{"github_pat_", 20},               Format{"glpat-", 16}, Format{"AIza", 30},
    Format{"ya29.", 20},   Format{"GOCSPX-", 20},      Format{"npm_", 30}, Format{"pypi-", 30}, Format{"xoxb-", 16}, Format{"xoxp-", 16},
    Format{"xoxa-", 16},   Format{"xoxr-", 16},        Format{"xoxs-", 16}, Format{"xapp-", 16}, Format{"AKIA", 16},  Format{"ASIA", 16},
    Format{"hf_", 30},     Format{"dop_v1_", 30}};

std::size_t run_of_token(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_token_char) - text.begin());
}

struct Found {
  std::size_t keep = 0;  // characters that stay: they say what it was
  std::size_t size = 0;  // of the whole, 0: none
};

// "eyJ" is "{\"" in base64: header.payload.signature, the last of which may be empty.
Found web_token(std::string_view text) {
  if (!text.starts_with("eyJ")) return {};
  std::size_t size = run_of_token(text);
  int parts = 1;
  while (parts < 5 && size < text.size() && text[size] == '.') {
    const std::size_t more = run_of_token(text.substr(size + 1));
    if (more == 0) break;
    size += 1 + more;
    ++parts;
  }
  // Two parts are enough: a log may have cut the third off.
  return parts >= 2 && size >= 24 ? Found{3, size} : Found{};
}

Found token_of_known_format(std::string_view text) {
  for (const auto& [prefix, least] : kFormats) {
    if (!text.starts_with(prefix)) continue;
    const std::size_t size = run_of_token(text.substr(prefix.size()));
    if (size >= least) return {prefix.size(), prefix.size() + size};
  }
  return web_token(text);
}

// "://user:secret@host": the secret.
Found url_secret(std::string_view text) {
  if (!text.starts_with("://")) return {};
  const std::size_t end = text.find_first_of("/?# \t\"'\\", 3);
  const std::string_view authority = text.substr(3, end == text.npos ? text.npos : end - 3);
  const std::size_t at = authority.rfind('@'), colon = authority.find(':');
  if (at == authority.npos || colon == authority.npos || colon + 1 >= at) return {};
  return {3 + colon + 1, 3 + at};
}

}  // namespace

std::string redacted(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  char before = '\0';
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    // In the middle of a word nothing begins: "task-…" is no "sk-…".
    Found found = is_alphanumeric(before) ? Found{} : token_of_known_format(rest);
    if (found.size == 0) found = url_secret(rest);
    if (found.size == 0) {
      out += before = text[i++];
      continue;
    }
    out += rest.substr(0, found.keep);
    out += kMark;
    i += found.size;
    before = ']';
  }
  return out;
}

}  // namespace locki
