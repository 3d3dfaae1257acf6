// Profiles, networks, storage pools, custom volumes, network ACLs.
#include "incus/client_impl.h"
#include "incus/parse.h"
#include "incus/url.h"

namespace locki::incus {
namespace {

std::string profile_url(std::string_view name) { return "/1.0/profiles/" + encoded(name); }
std::string network_url(std::string_view name) { return "/1.0/networks/" + encoded(name); }
std::string pool_url(std::string_view name) { return "/1.0/storage-pools/" + encoded(name); }

Result<std::optional<Named>> named(Result<std::optional<json::value>> found) {
  if (!found) return fail(std::move(found).error());
  if (!*found) return std::optional<Named>();
  TRY_ASSIGN(Named parsed, parse_named(**found));
  return std::optional<Named>(std::move(parsed));
}

Result<> absent_is_fine(Result<> done) {
  if (!done && done.error().kind() == ErrorKind::kNotFound) return {};
  return done;
}

json::value config_body(const Config& config) { return json::object{{"config", to_json(config)}}; }

}  // namespace

Result<std::optional<Named>> Client::profile(std::string_view name) { return named(impl_->find(profile_url(name))); }

Result<> Client::put_profile(const Named& profile) {
  json::value body = json::object{{"description", profile.description}, {"config", to_json(profile.config)}, {"devices", to_json(profile.devices)}};
  auto replaced = impl_->run_void("PUT", profile_url(profile.name), &body);
  if (replaced || replaced.error().kind() != ErrorKind::kNotFound) return replaced;
  body.get_object()["name"] = profile.name;
  return impl_->run_void("POST", "/1.0/profiles", &body);
}

Result<> Client::delete_profile(std::string_view name) { return absent_is_fine(impl_->run_void("DELETE", profile_url(name))); }

Result<std::optional<Named>> Client::network(std::string_view name) { return named(impl_->find(network_url(name))); }

Result<> Client::create_network(const Named& network) {
  const json::value body = json::object{{"name", network.name},
                                        {"description", network.description},
                                        {"type", network.type.empty() ? "bridge" : network.type},
                                        {"config", to_json(network.config)}};
  return impl_->run_void("POST", "/1.0/networks", &body);
}

Result<> Client::patch_network(std::string_view name, const Config& config) {
  const json::value body = config_body(config);
  return impl_->run_void("PATCH", network_url(name), &body);
}

Result<> Client::delete_network(std::string_view name) { return absent_is_fine(impl_->run_void("DELETE", network_url(name))); }

Result<std::optional<Named>> Client::storage_pool(std::string_view name) { return named(impl_->find(pool_url(name))); }

Result<> Client::create_storage_pool(const Named& pool) {
  const json::value body = json::object{
      {"name", pool.name}, {"description", pool.description}, {"driver", pool.type}, {"config", to_json(pool.config)}};
  return impl_->run_void("POST", "/1.0/storage-pools", &body);
}

Result<> Client::delete_storage_pool(std::string_view name) { return absent_is_fine(impl_->run_void("DELETE", pool_url(name))); }

Result<std::optional<Named>> Client::volume(std::string_view pool, std::string_view name) {
  return named(impl_->find(volume_url(pool, name)));
}

Result<std::vector<Named>> Client::list_volumes(std::string_view pool) {
  TRY_ASSIGN(const json::value found, impl_->get(pool_url(pool) + "/volumes/custom?recursion=1"));
  return parse_list(found, parse_named);
}

Result<> Client::create_volume(std::string_view pool, const Named& volume) {
  const json::value body = json::object{{"name", volume.name},
                                        {"description", volume.description},
                                        {"type", "custom"},
                                        {"content_type", volume.type.empty() || volume.type == "custom" ? "filesystem" : volume.type},
                                        {"config", to_json(volume.config)}};
  return impl_->run_void("POST", pool_url(pool) + "/volumes/custom", &body);
}

Result<> Client::copy_volume(std::string_view pool, std::string_view from, std::string_view to, const WaitOptions& wait) {
  const json::value body = json::object{
      {"name", std::string(to)},
      {"type", "custom"},
      {"source", json::object{{"type", "copy"}, {"name", std::string(from)}, {"pool", std::string(pool)}, {"volume_only", true}}}};
  return impl_->run_void("POST", pool_url(pool) + "/volumes/custom", &body, wait);
}

Result<> Client::patch_volume(std::string_view pool, std::string_view name, const Config& config) {
  const json::value body = config_body(config);
  return impl_->run_void("PATCH", volume_url(pool, name), &body);
}

Result<> Client::delete_volume(std::string_view pool, std::string_view name) {
  return absent_is_fine(impl_->run_void("DELETE", volume_url(pool, name)));
}

Result<> Client::put_network_acl(std::string_view name, json::object body) {
  const std::string url = "/1.0/network-acls/" + encoded(name);
  json::value sent = std::move(body);
  auto replaced = impl_->run_void("PUT", url, &sent);
  if (replaced || replaced.error().kind() != ErrorKind::kNotFound) return replaced;
  sent.get_object()["name"] = std::string(name);
  return impl_->run_void("POST", "/1.0/network-acls", &sent);
}

}  // namespace locki::incus
