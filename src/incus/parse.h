// Incus' JSON as our types, strictly. Pure. What Incus may leave out is optional here too; a wrong type is kProtocol.
#pragma once

#include <string_view>

#include "base/json.h"
#include "incus/types.h"

namespace locki::incus {

// More of anything in one answer is not a server that we set up.
inline constexpr std::size_t kMaxItems = 20'000;

Result<Operation> parse_operation(const json::object& o);
Result<ServerInfo> parse_server(const json::value& v);
Result<Instance> parse_instance(const json::value& v);
Result<InstanceState> parse_state(const json::value& v);
Result<Image> parse_image(const json::value& v);
Result<Named> parse_named(const json::value& v);

template <class T>
Result<std::vector<T>> parse_list(const json::value& v, Result<T> (*parse)(const json::value&)) {
  if (!v.is_array() || v.get_array().size() > kMaxItems) return fail(ErrorKind::kProtocol, "a list was expected in Incus' answer");
  std::vector<T> list;
  for (const json::value& item : v.get_array()) {
    TRY_ASSIGN(T parsed, parse(item));
    list.push_back(std::move(parsed));
  }
  return list;
}

json::object to_json(const Config& config);
json::object to_json(const Devices& devices);
json::array to_json(const std::vector<std::string>& list);

// The progress texts of an operation's metadata ("…_progress": "rootfs: 45% (3MB/s)"), printable, and the number in them.
struct ProgressText {
  std::string text;
  std::optional<double> fraction;
};
std::optional<ProgressText> progress_of(const json::object& operation);

}  // namespace locki::incus
