#include "incus/client_impl.h"
#include "incus/parse.h"
#include "incus/url.h"

namespace locki::incus {
namespace {

json::object source_json(const std::variant<FromImage, FromInstance>& source) {
  if (const auto* copy = std::get_if<FromInstance>(&source)) {
    return {{"type", "copy"}, {"source", copy->instance}, {"instance_only", true}};
  }
  const auto& image = std::get<FromImage>(source);
  json::object o{{"type", "image"}};
  if (!image.fingerprint.empty()) {
    o["fingerprint"] = image.fingerprint;
  } else {
    o["alias"] = image.alias;
  }
  return o;
}

// PUT .../state of doc/rest-api.yaml; the timeout is how long an orderly stop may take.
json::value state_change(std::string_view action, bool force, std::chrono::seconds timeout) {
  return json::object{{"action", json::value(boost::json::string_view(action.data(), action.size()))}, {"force", force}, {"timeout", timeout.count()}};
}

}  // namespace

Result<> Client::create_instance(const CreateInstance& wanted, const WaitOptions& wait) {
  json::object body{{"name", wanted.name},
                    {"type", "container"},
                    {"description", wanted.description},
                    {"ephemeral", wanted.ephemeral},
                    {"config", to_json(wanted.config)},
                    {"devices", to_json(wanted.devices)},
                    {"source", source_json(wanted.source)}};
  // Without the member Incus takes the source's profiles for a copy, and "default" for an image.
  const bool copy = std::holds_alternative<FromInstance>(wanted.source);
  if (!copy || !wanted.profiles.empty()) body["profiles"] = to_json(wanted.profiles);
  const json::value sent = std::move(body);
  return impl_->run_void("POST", "/1.0/instances", &sent, wait);
}

Result<Instance> Client::instance(std::string_view name) {
  TRY_ASSIGN(const json::value found, impl_->get(instance_url(name)));
  return parse_instance(found);
}

Result<bool> Client::instance_exists(std::string_view name) {
  TRY_ASSIGN(const auto found, impl_->find(instance_url(name)));
  return found.has_value();
}

Result<std::vector<Instance>> Client::list_instances(bool with_state) {
  TRY_ASSIGN(const json::value found, impl_->get(with_state ? "/1.0/instances?recursion=2" : "/1.0/instances?recursion=1"));
  return parse_list(found, parse_instance);
}

Result<InstanceState> Client::instance_state(std::string_view name) {
  TRY_ASSIGN(const json::value found, impl_->get(instance_url(name, "/state")));
  return parse_state(found);
}

Result<> Client::start(std::string_view name, const WaitOptions& wait) {
  const json::value body = state_change("start", false, std::chrono::seconds(30));
  auto started = impl_->run_void("PUT", instance_url(name, "/state"), &body, wait);
  if (started) return {};
  if (auto now = instance(name); now && now->running()) return {};  // it was already, or somebody else was faster
  return started;
}

Result<> Client::stop(std::string_view name, bool force, std::chrono::seconds grace, const WaitOptions& wait) {
  const json::value body = state_change("stop", force, grace);
  auto stopped = impl_->run_void("PUT", instance_url(name, "/state"), &body, wait);
  if (stopped) return {};
  if (auto now = instance(name); now && now->status == "Stopped") return {};
  return stopped;
}

Result<> Client::delete_instance(std::string_view name, const WaitOptions& wait) {
  return impl_->run_void("DELETE", instance_url(name), nullptr, wait);
}

Result<> Client::patch_instance(std::string_view name, const InstancePatch& patch) {
  json::object body;
  if (!patch.config.empty()) body["config"] = to_json(patch.config);
  if (!patch.devices.empty()) body["devices"] = to_json(patch.devices);
  const json::value sent = std::move(body);
  return impl_->run_void("PATCH", instance_url(name), &sent);
}

Result<> Client::rename_instance(std::string_view name, std::string_view to, const WaitOptions& wait) {
  const json::value body = json::object{{"name", std::string(to)}};
  return impl_->run_void("POST", instance_url(name), &body, wait);
}

Result<> Client::set_device(std::string_view instance, std::string_view device, const Config& keys) {
  return patch_instance(instance, {.devices = {{std::string(device), keys}}});
}

// PATCH cannot take a device away: read, change, write back, and start over when somebody else wrote in between (ETag).
Result<> Client::remove_device(std::string_view instance, std::string_view device) {
  constexpr int kAttempts = 5;
  Result<> done;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    TRY_ASSIGN(Answer answer, impl_->send("GET", instance_url(instance)));
    if (!answer.metadata.is_object()) return fail(ErrorKind::kProtocol, "Incus' answer holds no instance");
    json::object& shown = answer.metadata.get_object();
    TRY_ASSIGN(json::object devices, json::get_object(shown, "devices"));
    if (devices.erase(boost::json::string_view(device.data(), device.size())) == 0) return {};
    json::object body{{"devices", std::move(devices)}};
    for (const char* kept : {"architecture", "config", "description", "ephemeral", "profiles", "restore", "stateful"}) {
      if (json::value* value = shown.if_contains(kept); value != nullptr) body[kept] = std::move(*value);
    }
    const json::value sent = std::move(body);
    auto replaced = impl_->send("PUT", instance_url(instance), &sent, answer.etag);
    if (replaced && replaced->operation.empty()) return {};
    if (replaced) {
      TRY(impl_->wait_operation(replaced->operation, {}));
      return {};
    }
    if (replaced.error().kind() != ErrorKind::kConflict) return fail(std::move(replaced).error());
    done = fail(std::move(replaced).error());
  }
  return done;
}

}  // namespace locki::incus
