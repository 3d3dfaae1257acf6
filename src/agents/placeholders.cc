#include "agents/placeholders.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace locki::agents {

namespace {

std::string_view view(const boost::json::string& s) { return {s.data(), s.size()}; }
std::string_view view(boost::json::string_view s) { return {s.data(), s.size()}; }

// Calls `plain` and `name` for the pieces of the text in their order; false where a "${" has no end.
template <class Plain, class Name>
bool walk(std::string_view text, Plain plain, Name name) {
  while (true) {
    const auto start = text.find("${");
    plain(text.substr(0, start));
    if (start == std::string_view::npos) return true;
    const auto end = text.find('}', start);
    if (end == std::string_view::npos) return false;
    name(text.substr(start + 2, end - start - 2));
    text.remove_prefix(end + 1);
  }
}

// JSON's escapes are all valid in a TOML basic string. DEL must be escaped in TOML alone; it is refused before (render.cc).
std::string toml_string(std::string_view text) { return json::serialize(json::value(boost::json::string_view(text.data(), text.size()))); }

std::string toml_key(std::string_view key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string(key) : toml_string(key);
}

std::string toml_inline(const json::value& v) {
  if (const auto* list = v.if_array()) {
    std::vector<std::string> parts;
    for (const auto& item : *list) parts.push_back(toml_inline(item));
    return "[" + join(parts, ", ") + "]";
  }
  if (const auto* object = v.if_object()) {
    std::vector<std::string> parts;
    for (const auto& [key, item] : *object) parts.push_back(toml_key(view(key)) + " = " + toml_inline(item));
    return "{" + join(parts, ", ") + "}";
  }
  return json::serialize(v);
}

void toml_table(const json::object& table, const std::string& prefix, std::string& out) {
  for (const auto& [key, item] : table) {
    if (!item.is_object() && !item.is_null()) out += toml_key(view(key)) + " = " + toml_inline(item) + "\n";
  }
  for (const auto& [key, item] : table) {
    if (!item.is_object()) continue;
    const std::string name = prefix.empty() ? toml_key(view(key)) : prefix + "." + toml_key(view(key));
    out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", name);
    toml_table(item.get_object(), name, out);
  }
}

}  // namespace

Result<> check_placeholders(std::string_view text) {
  std::string unknown;
  const bool closed = walk(
      text, [](std::string_view) {},
      [&](std::string_view name) {
        if (std::find(std::begin(kPlaceholders), std::end(kPlaceholders), name) == std::end(kPlaceholders)) unknown = std::string(name);
      });
  if (closed && unknown.empty()) return {};
  const std::string known = join(std::vector<std::string>(std::begin(kPlaceholders), std::end(kPlaceholders)), ", ");
  if (!closed) return fail(ErrorKind::kUsage, "a \"${\" is not closed", "known placeholders: " + known);
  return fail(ErrorKind::kUsage, fmt::format("unknown placeholder ${{{}}}", printable(unknown, 40)), "known placeholders: " + known);
}

Result<> check_placeholders(const json::value& tree) {
  if (const auto* text = tree.if_string()) return check_placeholders(view(*text));
  if (const auto* list = tree.if_array()) {
    for (const auto& item : *list) TRY(check_placeholders(item));
  }
  if (const auto* object = tree.if_object()) {
    for (const auto& [key, item] : *object) {
      TRY(check_placeholders(view(key)));
      TRY(check_placeholders(item));
    }
  }
  return {};
}

std::string fill(std::string_view text, const Values& values) {
  std::string out;
  walk(
      text, [&](std::string_view plain) { out += plain; },
      [&](std::string_view name) {
        if (const auto it = values.find(name); it != values.end()) out += it->second;
      });
  return out;
}

json::value fill(const json::value& tree, const Values& values) {
  if (const auto* text = tree.if_string()) return json::value(boost::json::string_view(fill(view(*text), values)));
  if (const auto* list = tree.if_array()) {
    json::array out;
    for (const auto& item : *list) out.push_back(fill(item, values));
    return out;
  }
  if (const auto* object = tree.if_object()) {
    json::object out;
    for (const auto& [key, item] : *object) out[fill(view(key), values)] = fill(item, values);
    return out;
  }
  return tree;
}

std::string toml_text(const json::object& tree) {
  std::string out;
  toml_table(tree, "", out);
  return out;
}

}  // namespace locki::agents
