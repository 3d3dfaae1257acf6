#include "review/manifest_checks.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/json.h"
#include "base/strings.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxNames = 8;
constexpr std::size_t kMaxSource = 200;
constexpr std::size_t kMaxSources = 100'000;

// Hosts where everybody has a place of their own: there the owner and the name count.
constexpr std::array<std::string_view, 9> kShared{"github.com",     "gitlab.com",      "bitbucket.org",    "codeberg.org",           "codeload.github.com",
                                                  "git.sr.ht",      "gist.github.com", "api.github.com",   "raw.githubusercontent.com"};
constexpr std::array<std::string_view, 10> kShorthands{"github:", "gitlab:", "bitbucket:", "gist:", "file:", "link:", "portal:", "exec:", "patch:", "path:"};

// The value at a dotted key; a member whose name has dots of its own cannot be named. nullptr: not there.
const json::value* value_at(const json::value& root, std::string_view key) {
  const json::value* at = &root;
  for (const std::string& part : split(key, '.')) {
    const auto* o = at->if_object();
    at = o == nullptr ? nullptr : o->if_contains(part);
    if (at == nullptr) return nullptr;
  }
  return at;
}

void add_changed_members(const std::string& key, const json::value* before, const json::value& after, std::vector<std::string>& changed) {
  const auto* members = after.if_object();
  if (members == nullptr) return changed.push_back(key);
  const auto* old = before == nullptr ? nullptr : before->if_object();
  for (const auto& [name, value] : *members) {
    const auto* was = old == nullptr ? nullptr : old->if_contains(name);
    if (was == nullptr || *was != value) changed.push_back(key + "." + std::string(name));
  }
}

Result<json::value> read(std::string_view document) {
  if (trim(document).empty()) return json::value(json::object{});
  if (document.starts_with("\xef\xbb\xbf")) document.remove_prefix(3);
  return json::parse(document);
}

bool ends_source(char c) { return static_cast<unsigned char>(c) <= ' ' || std::string_view("\"'`<>()[]{},;\\|#?").find(c) != std::string_view::npos; }
bool is_scheme(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '.' || c == '-'; }
bool is_word(char c) { return is_scheme(c) || c == '_'; }

std::string_view until_end(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && end - at < kMaxSource && !ends_source(text[end])) ++end;
  return text.substr(at, end - at);
}

// What is named counts without its version: "host/owner/name", at most two parts of the path.
std::string place(std::string_view scheme, std::string_view rest) {
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string authority = ascii_lower(rest.substr(0, slash));
  std::string out = ascii_lower(scheme) + "://" + authority;
  const std::string_view host = std::string_view(authority).substr(authority.find('@') == std::string::npos ? 0 : authority.rfind('@') + 1);
  const bool plain = scheme == "http" || scheme == "https";
  if (plain && std::find(kShared.begin(), kShared.end(), host) == kShared.end()) return out;
  std::size_t end = slash;
  for (int parts = 0; parts < 2 && end < rest.size(); ++parts) end = std::min(rest.find('/', end + 1), rest.size());
  out += rest.substr(slash, end - slash);
  return out.ends_with(".git") ? out.substr(0, out.size() - 4) : out;
}

}  // namespace

std::vector<std::string> changed_json_keys(std::string_view before, std::string_view after, const std::vector<std::string>& keys) {
  if (before == after) return {};
  const auto now = read(after);
  if (!now) return {"it is no JSON that can be read"};
  const auto old = read(before);
  std::vector<std::string> changed;
  for (const std::string& key : keys) {
    const json::value* value = value_at(*now, key);
    const json::value* was = old ? value_at(*old, key) : nullptr;
    if (value == nullptr || (was != nullptr && *was == *value)) continue;
    add_changed_members(key, was, *value, changed);
  }
  if (changed.size() > kMaxNames) changed.resize(kMaxNames);
  return changed;
}

std::set<std::string> sources_in(std::string_view text) {
  std::set<std::string> found;
  for (std::size_t at = 0; (at = text.find("://", at)) != std::string_view::npos && found.size() < kMaxSources; at += 3) {
    std::size_t start = at;
    while (start > 0 && at - start < 40 && is_scheme(text[start - 1])) --start;
    const std::string_view rest = until_end(text, at + 3);
    if (start < at && !rest.empty()) found.insert(place(text.substr(start, at - start), rest));
  }
  for (const std::string_view shorthand : kShorthands) {
    for (std::size_t at = 0; (at = text.find(shorthand, at)) != std::string_view::npos && found.size() < kMaxSources; at += shorthand.size()) {
      const std::string_view rest = until_end(text, at + shorthand.size());
      if ((at == 0 || !is_word(text[at - 1])) && !rest.empty() && !rest.starts_with("//")) found.emplace(text.substr(at, shorthand.size() + rest.size()));
    }
  }
  // scp-like: "git@host:owner/name".
  for (std::size_t at = 0; (at = text.find('@', at)) != std::string_view::npos && found.size() < kMaxSources; ++at) {
    std::size_t start = at;
    while (start > 0 && at - start < 40 && is_word(text[start - 1])) --start;
    const std::string_view rest = until_end(text, at + 1);
    const std::size_t colon = rest.find(':');
    if (start == at || colon == std::string_view::npos || colon == 0 || colon + 1 == rest.size()) continue;
    const std::string_view host = rest.substr(0, colon);
    // "name@npm:1.2" is a version, not a host.
    if (host.find('.') != std::string_view::npos && host.find('/') == std::string_view::npos && rest.find('/', colon) != std::string_view::npos) found.emplace(text.substr(start, at + 1 + rest.size() - start));
  }
  return found;
}

std::set<std::string> sources_in_json(std::string_view document, const std::vector<std::string>& keys) {
  const auto root = read(document);
  if (!root) return sources_in(document);
  std::set<std::string> found;
  for (const std::string& key : keys) {
    if (const auto* value = value_at(*root, key)) found.merge(sources_in(json::serialize(*value)));
  }
  return found;
}

std::vector<std::string> new_lines_with(std::string_view before, std::string_view after, const std::vector<std::string>& words, std::size_t limit) {
  std::vector<std::string> found;
  std::unordered_set<std::string> known;
  for (const std::string& line : split_lines(before)) known.emplace(trim(line));
  for (const std::string& raw : split_lines(after)) {
    std::string line(trim(raw));
    std::string solid = line;
    std::erase_if(solid, [](char c) { return c == ' ' || c == '\t'; });
    const auto has = [&](const std::string& word) { return word.starts_with('^') ? solid.starts_with(std::string_view(word).substr(1)) : solid.find(word) != std::string::npos; };
    if (found.size() < limit && !known.contains(line) && std::any_of(words.begin(), words.end(), has)) found.push_back(std::move(line));
  }
  return found;
}

}  // namespace locki::review
