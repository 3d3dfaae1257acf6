#include "incus/parse.h"

#include "base/strings.h"

namespace locki::incus {
namespace {

Result<json::object> object_of(const json::value& v) {
  if (!v.is_object()) return fail(ErrorKind::kProtocol, "an object was expected in Incus' answer");
  return v.get_object();
}

const json::value* member(const json::object& o, std::string_view key) {
  const json::value* v = o.if_contains({key.data(), key.size()});
  return v != nullptr && v->is_null() ? nullptr : v;  // Go writes nil maps and slices as null
}

tl::unexpected<Error> wrong(std::string_view key) {
  return fail(ErrorKind::kProtocol, "the member \"" + std::string(key) + "\" of Incus' answer has the wrong type");
}

// Absent or null: empty.
Result<Config> config_of(const json::object& o, std::string_view key) {
  Config config;
  const json::value* v = member(o, key);
  if (v == nullptr) return config;
  if (!v->is_object() || v->get_object().size() > kMaxItems) return wrong(key);
  for (const auto& [name, value] : v->get_object()) {
    if (!value.is_string()) return wrong(key);
    config.emplace(name, value.get_string());
  }
  return config;
}

Result<Devices> devices_of(const json::object& o, std::string_view key) {
  Devices devices;
  const json::value* v = member(o, key);
  if (v == nullptr) return devices;
  if (!v->is_object() || v->get_object().size() > kMaxItems) return wrong(key);
  for (const auto& item : v->get_object()) {
    const std::string name(item.key());
    TRY_ASSIGN(devices[name], config_of(v->get_object(), name));
  }
  return devices;
}

Result<std::vector<std::string>> strings_of(const json::object& o, std::string_view key) {
  std::vector<std::string> list;
  const json::value* v = member(o, key);
  if (v == nullptr) return list;
  if (!v->is_array() || v->get_array().size() > kMaxItems) return wrong(key);
  for (const json::value& item : v->get_array()) {
    if (!item.is_string()) return wrong(key);
    list.emplace_back(item.get_string());
  }
  return list;
}

Result<std::string> text_of(const json::object& o, std::string_view key) {
  return member(o, key) == nullptr ? Result<std::string>(std::string()) : json::get_string(o, key);
}
Result<std::int64_t> number_of(const json::object& o, std::string_view key) {
  return member(o, key) == nullptr ? Result<std::int64_t>(0) : json::get_int(o, key);
}
Result<json::object> part_of(const json::object& o, std::string_view key) {
  return member(o, key) == nullptr ? Result<json::object>(json::object()) : json::get_object(o, key);
}

Result<std::uint64_t> size_of(const json::object& o, std::string_view key) {
  TRY_ASSIGN(const std::int64_t number, number_of(o, key));
  return static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0));
}

Result<NetworkState> parse_network_state(const json::value& v) {
  TRY_ASSIGN(const json::object o, object_of(v));
  NetworkState network;
  TRY_ASSIGN(network.hwaddr, text_of(o, "hwaddr"));
  TRY_ASSIGN(network.state, text_of(o, "state"));
  TRY_ASSIGN(const json::object counters, part_of(o, "counters"));
  TRY_ASSIGN(network.bytes_received, size_of(counters, "bytes_received"));
  TRY_ASSIGN(network.bytes_sent, size_of(counters, "bytes_sent"));
  if (const json::value* list = member(o, "addresses"); list != nullptr) {
    if (!list->is_array() || list->get_array().size() > kMaxItems) return wrong("addresses");
    for (const json::value& item : list->get_array()) {
      TRY_ASSIGN(const json::object a, object_of(item));
      Address address;
      TRY_ASSIGN(address.family, json::get_string(a, "family"));
      TRY_ASSIGN(address.address, json::get_string(a, "address"));
      TRY_ASSIGN(address.scope, text_of(a, "scope"));
      network.addresses.push_back(std::move(address));
    }
  }
  return network;
}

}  // namespace

bool ServerInfo::has(std::string_view extension) const {
  for (const std::string& e : extensions) {
    if (e == extension) return true;
  }
  return false;
}

std::optional<std::string> InstanceState::address(std::string_view family) const {
  for (const auto& [name, state] : network) {
    if (name == "lo") continue;
    for (const Address& a : state.addresses) {
      if (a.family == family && a.scope == "global") return a.address;
    }
  }
  return std::nullopt;
}

Result<Operation> parse_operation(const json::object& o) {
  Operation operation;
  TRY_ASSIGN(operation.id, json::get_string(o, "id"));
  TRY_ASSIGN(const std::int64_t code, json::get_int(o, "status_code"));
  if (code < 100 || code > 999) return wrong("status_code");
  operation.status_code = static_cast<int>(code);
  TRY_ASSIGN(operation.status, text_of(o, "status"));
  TRY_ASSIGN(operation.error, text_of(o, "err"));
  TRY_ASSIGN(operation.description, text_of(o, "description"));
  return operation;
}

Result<ServerInfo> parse_server(const json::value& v) {
  TRY_ASSIGN(const json::object o, object_of(v));
  ServerInfo server;
  TRY_ASSIGN(const std::string auth, json::get_string(o, "auth"));
  server.trusted = auth == "trusted";
  TRY_ASSIGN(server.extensions, strings_of(o, "api_extensions"));
  TRY_ASSIGN(const json::object environment, part_of(o, "environment"));  // only for trusted clients
  TRY_ASSIGN(server.version, text_of(environment, "server_version"));
  return server;
}

Result<Instance> parse_instance(const json::value& v) {
  TRY_ASSIGN(const json::object o, object_of(v));
  Instance instance;
  TRY_ASSIGN(instance.name, json::get_string(o, "name"));
  TRY_ASSIGN(instance.status, json::get_string(o, "status"));
  TRY_ASSIGN(instance.type, text_of(o, "type"));
  TRY_ASSIGN(instance.description, text_of(o, "description"));
  instance.ephemeral = json::bool_or(o, "ephemeral");
  TRY_ASSIGN(instance.config, config_of(o, "config"));
  TRY_ASSIGN(instance.devices, devices_of(o, "devices"));
  TRY_ASSIGN(instance.expanded_config, config_of(o, "expanded_config"));
  TRY_ASSIGN(instance.expanded_devices, devices_of(o, "expanded_devices"));
  TRY_ASSIGN(instance.profiles, strings_of(o, "profiles"));
  TRY_ASSIGN(instance.created_at, text_of(o, "created_at"));
  TRY_ASSIGN(instance.last_used_at, text_of(o, "last_used_at"));
  if (const json::value* state = member(o, "state"); state != nullptr) {
    TRY_ASSIGN(instance.state, parse_state(*state));
  }
  return instance;
}

Result<InstanceState> parse_state(const json::value& v) {
  TRY_ASSIGN(const json::object o, object_of(v));
  InstanceState state;
  TRY_ASSIGN(state.status, json::get_string(o, "status"));
  TRY_ASSIGN(state.pid, number_of(o, "pid"));
  TRY_ASSIGN(state.processes, number_of(o, "processes"));
  TRY_ASSIGN(const json::object cpu, part_of(o, "cpu"));
  TRY_ASSIGN(state.cpu_nanoseconds, number_of(cpu, "usage"));
  TRY_ASSIGN(const json::object memory, part_of(o, "memory"));
  TRY_ASSIGN(state.memory_bytes, number_of(memory, "usage"));
  TRY_ASSIGN(state.memory_peak_bytes, number_of(memory, "usage_peak"));
  TRY_ASSIGN(const json::object disk, part_of(o, "disk"));
  for (const auto& [name, value] : disk) {
    TRY_ASSIGN(const json::object entry, object_of(value));
    TRY_ASSIGN(state.disk_bytes[std::string(name)], number_of(entry, "usage"));
  }
  TRY_ASSIGN(const json::object network, part_of(o, "network"));
  for (const auto& [name, value] : network) {
    TRY_ASSIGN(state.network[std::string(name)], parse_network_state(value));
  }
  return state;
}

Result<Image> parse_image(const json::value& v) {
  TRY_ASSIGN(const json::object o, object_of(v));
  Image image;
  TRY_ASSIGN(image.fingerprint, json::get_string(o, "fingerprint"));
  TRY_ASSIGN(image.size, size_of(o, "size"));
  TRY_ASSIGN(image.properties, config_of(o, "properties"));
  if (const json::value* list = member(o, "aliases"); list != nullptr) {
    if (!list->is_array() || list->get_array().size() > kMaxItems) return wrong("aliases");
    for (const json::value& item : list->get_array()) {
      TRY_ASSIGN(const json::object alias, object_of(item));
      TRY_ASSIGN(std::string name, json::get_string(alias, "name"));
      image.aliases.push_back(std::move(name));
    }
  }
  return image;
}

Result<Named> parse_named(const json::value& v) {
  TRY_ASSIGN(const json::object o, object_of(v));
  Named named;
  TRY_ASSIGN(named.name, json::get_string(o, "name"));
  TRY_ASSIGN(named.description, text_of(o, "description"));
  TRY_ASSIGN(named.type, text_of(o, "type"));
  if (named.type.empty()) {
    TRY_ASSIGN(named.type, text_of(o, "driver"));
  }
  TRY_ASSIGN(named.config, config_of(o, "config"));
  TRY_ASSIGN(named.devices, devices_of(o, "devices"));
  return named;
}

json::object to_json(const Config& config) {
  json::object o;
  for (const auto& [key, value] : config) o[key] = value;
  return o;
}
json::object to_json(const Devices& devices) {
  json::object o;
  for (const auto& [name, keys] : devices) o[name] = to_json(keys);
  return o;
}
json::array to_json(const std::vector<std::string>& list) {
  json::array a;
  for (const std::string& item : list) a.emplace_back(item);
  return a;
}

std::optional<ProgressText> progress_of(const json::object& operation) {
  const json::object* metadata = json::object_or_null(operation, "metadata");
  if (metadata == nullptr) return std::nullopt;
  for (const auto& [key, value] : *metadata) {
    if (!std::string_view(key.data(), key.size()).ends_with("_progress") || !value.is_string()) continue;
    const std::string_view text(value.get_string().data(), value.get_string().size());
    ProgressText progress{printable(text, 100), std::nullopt};
    if (const std::size_t percent = text.find('%'); percent != std::string_view::npos) {
      std::size_t from = percent;
      while (from > 0 && text[from - 1] >= '0' && text[from - 1] <= '9') --from;
      if (auto number = parse_u64(text.substr(from, percent - from)); number && *number <= 100) {
        progress.fraction = static_cast<double>(*number) / 100;
      }
    }
    return progress;
  }
  return std::nullopt;
}

}  // namespace locki::incus
