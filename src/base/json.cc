#include "base/json.h"

#include <fmt/format.h>

#include <boost/json/src.hpp>

namespace locki::json {

Result<value> parse(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) return fail(ErrorKind::kProtocol, fmt::format("JSON of {} bytes (at most {} taken)", text.size(), max_bytes));
  boost::json::parse_options options;
  options.max_depth = 32;
  boost::system::error_code error;
  value parsed = boost::json::parse(boost::json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return fail(ErrorKind::kProtocol, "not valid JSON: " + error.message());
  return parsed;
}

Result<object> parse_object(std::string_view text, std::size_t max_bytes) {
  TRY_ASSIGN(value parsed, parse(text, max_bytes));
  if (!parsed.is_object()) return fail(ErrorKind::kProtocol, "a JSON object was expected");
  return std::move(parsed.get_object());
}

namespace {
const value* find(const object& o, std::string_view key) {
  return o.if_contains(boost::json::string_view(key.data(), key.size()));
}
tl::unexpected<Error> wrong(std::string_view key, std::string_view type) {
  return fail(ErrorKind::kProtocol, fmt::format("the JSON member \"{}\" is missing or not {}", key, type));
}
}  // namespace

Result<std::string> get_string(const object& o, std::string_view key) {
  const value* v = find(o, key);
  if (v == nullptr || !v->is_string()) return wrong(key, "a string");
  return std::string(v->get_string().data(), v->get_string().size());
}

Result<std::int64_t> get_int(const object& o, std::string_view key) {
  const value* v = find(o, key);
  if (v == nullptr) return wrong(key, "an integer");
  if (v->is_int64()) return v->get_int64();
  if (v->is_uint64() && v->get_uint64() <= INT64_MAX) return static_cast<std::int64_t>(v->get_uint64());
  return wrong(key, "an integer");
}

Result<bool> get_bool(const object& o, std::string_view key) {
  const value* v = find(o, key);
  if (v == nullptr || !v->is_bool()) return wrong(key, "true or false");
  return v->get_bool();
}

Result<object> get_object(const object& o, std::string_view key) {
  const value* v = find(o, key);
  if (v == nullptr || !v->is_object()) return wrong(key, "an object");
  return v->get_object();
}

Result<array> get_array(const object& o, std::string_view key) {
  const value* v = find(o, key);
  if (v == nullptr || !v->is_array()) return wrong(key, "an array");
  return v->get_array();
}

std::string string_or(const object& o, std::string_view key, std::string_view fallback) {
  auto v = get_string(o, key);
  return v ? std::move(*v) : std::string(fallback);
}

std::int64_t int_or(const object& o, std::string_view key, std::int64_t fallback) { return get_int(o, key).value_or(fallback); }

bool bool_or(const object& o, std::string_view key, bool fallback) { return get_bool(o, key).value_or(fallback); }

const object* object_or_null(const object& o, std::string_view key) {
  const value* v = find(o, key);
  return v != nullptr ? v->if_object() : nullptr;
}

const array* array_or_null(const object& o, std::string_view key) {
  const value* v = find(o, key);
  return v != nullptr ? v->if_array() : nullptr;
}

namespace {
void write_pretty(const value& v, std::string& out, int indent) {
  const std::string pad(static_cast<std::size_t>(indent) * 2 + 2, ' ');
  const std::string end(static_cast<std::size_t>(indent) * 2, ' ');
  if (v.is_object() && !v.get_object().empty()) {
    out += "{\n";
    bool first = true;
    for (const auto& [key, member] : v.get_object()) {
      if (!first) out += ",\n";
      first = false;
      out += pad + boost::json::serialize(boost::json::value(key)) + ": ";
      write_pretty(member, out, indent + 1);
    }
    out += "\n" + end + "}";
  } else if (v.is_array() && !v.get_array().empty()) {
    out += "[\n";
    bool first = true;
    for (const auto& member : v.get_array()) {
      if (!first) out += ",\n";
      first = false;
      out += pad;
      write_pretty(member, out, indent + 1);
    }
    out += "\n" + end + "]";
  } else {
    out += boost::json::serialize(v);
  }
}
}  // namespace

std::string pretty(const value& v) {
  std::string out;
  write_pretty(v, out, 0);
  return out;
}

}  // namespace locki::json
