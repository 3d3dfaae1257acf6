// JSON values (Boost.JSON) and strict readers. Everything read may come from a hostile peer: a wrong type is an error, never a
// default; depth is limited to 32 and parse() refuses more than `max_bytes`.
#pragma once

#include <boost/json/value.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace locki::json {

using boost::json::array;
using boost::json::object;
using boost::json::serialize;
using boost::json::value;

Result<value> parse(std::string_view text, std::size_t max_bytes = 16 << 20);
Result<object> parse_object(std::string_view text, std::size_t max_bytes = 16 << 20);

// The member of that name and type; kProtocol when it is absent or of another type.
Result<std::string> get_string(const object& o, std::string_view key);
Result<std::int64_t> get_int(const object& o, std::string_view key);
Result<bool> get_bool(const object& o, std::string_view key);
Result<object> get_object(const object& o, std::string_view key);
Result<array> get_array(const object& o, std::string_view key);

// Absent (or null) gives the fallback; present with another type gives the fallback as well: only for what is optional by design.
std::string string_or(const object& o, std::string_view key, std::string_view fallback = "");
std::int64_t int_or(const object& o, std::string_view key, std::int64_t fallback = 0);
bool bool_or(const object& o, std::string_view key, bool fallback = false);
const object* object_or_null(const object& o, std::string_view key);
const array* array_or_null(const object& o, std::string_view key);

// Indented, keys in their order, for people and golden files.
std::string pretty(const value& v);

}  // namespace locki::json
