// Manager: the network's rules and log, and the audit log.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "gate/policy.h"
#include "sandbox/manager.h"
#include "sandbox/net_wishes.h"

namespace locki::sandbox {

namespace {
std::int64_t steady_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
}  // namespace

Result<std::optional<Record>> Manager::find_any(const Where& where) const {
  auto record = find(where);
  if (record) return std::optional(std::move(*record));
  if (where.name.empty()) return std::optional<Record>();
  return fail(std::move(record).error());
}

Result<json::object> Manager::network_policy_json(const Where& where) {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto record, find_any(where));
  TRY_ASSIGN(const auto policy, machine_.egress().policy_for(record ? &*record : nullptr, config));
  json::array rules;
  for (const auto& rule : policy.rules) rules.push_back(json::object{{"rule", rule.to_string()}, {"source", rule.source}});
  json::array services;
  for (const auto& [name, target] : config.net.services) services.push_back(json::object{{"name", name}, {"target", target}});
  return json::object{{"sandbox", record ? json::value(record->name) : json::value(nullptr)}, {"mode", gate::to_string(policy.mode)},
                      {"rules", std::move(rules)}, {"services", std::move(services)}};
}

Result<std::string> Manager::explain_network(const Where& where, const std::string& target) {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto record, find_any(where));
  TRY_ASSIGN(const auto policy, machine_.egress().policy_for(record ? &*record : nullptr, config));
  TRY_ASSIGN(const auto endpoint, gate::parse_endpoint(target, 443));
  return gate::explain(policy, endpoint);
}

Result<> Manager::apply_rules() {
  TRY_ASSIGN(const Config config, this->config());
  TRY(machine_.egress().apply(config));
  return machine_.publish_names();
}

Result<> Manager::change_rules(Scope scope, const Record* record, const gate::Rule& rule) {
  TRY(machine_.egress().rules().add(scope, record, rule));
  const json::object what{{"rule", rule.to_string()}, {"scope", to_string(scope)}};
  if (record != nullptr) audit_.write("network", *record, what);
  else audit_.write_for_all("network", what);
  return apply_rules();
}

Result<> Manager::change_network(const Where& where, bool allow, const std::string& target, Scope scope) {
  TRY_ASSIGN(const auto rule, gate::parse_rule_target(allow, target, "locki net"));
  if (scope == Scope::kAlways) return change_rules(scope, nullptr, rule);
  TRY_ASSIGN(const Record record, find(where));
  return change_rules(scope, &record, rule);
}

Result<> Manager::set_network_mode(const Where& where, const std::string& mode) {
  TRY_ASSIGN(const Record record, find(where));
  std::optional<gate::Mode> wanted;
  if (!mode.empty()) {
    TRY_ASSIGN(wanted, gate::parse_mode(mode));
  }
  TRY(machine_.egress().rules().set_mode(record, wanted));
  audit_.write("network", record, {{"mode", mode.empty() ? "default" : mode}});
  return apply_rules();
}

void Manager::note_wishes(const Record& record, const std::vector<gate::Rule>& wishes, const Config& config, const ProgressSink& progress) {
  constexpr std::size_t kShown = 6;
  const auto warn = [&](const Error& error) { report(progress, {ProgressEvent::Kind::kWarning, "locki.toml", "wishes for the network: " + error.describe(), std::nullopt}); };
  if (auto kept = machine_.egress().rules().set_wishes(record, wishes); !kept) return warn(kept.error());
  const auto policy = machine_.egress().policy_for(&record, config);
  if (!policy) return warn(policy.error());
  std::vector<std::string> open;
  for (const auto& wish : wishes)
    if (state_of(wish, *policy) == WishState::kOpen) open.push_back(target_of(wish));
  if (open.empty()) return;
  const std::size_t more = open.size() - std::min(open.size(), kShown);
  open.resize(open.size() - more);
  report(progress, {ProgressEvent::Kind::kNote, "locki.toml",
                    fmt::format("the repository would like to reach {}{}; if you agree: locki net grant {}", join(open, ", "),
                                more > 0 ? fmt::format(" and {} more", more) : "", record.name),
                    std::nullopt});
}

Result<json::array> Manager::network_wishes(const Where& where) {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const Record record, find(where));
  TRY_ASSIGN(const auto wishes, machine_.egress().rules().wishes_of(record));
  TRY_ASSIGN(const auto policy, machine_.egress().policy_for(&record, config));
  json::array all;
  for (const auto& wish : wishes) all.push_back(json::object{{"rule", target_of(wish)}, {"state", to_string(state_of(wish, policy))}});
  return all;
}

Result<json::array> Manager::grant_wishes(const Where& where, const std::vector<std::string>& targets) {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const Record record, find(where));
  TRY_ASSIGN(const auto wishes, machine_.egress().rules().wishes_of(record));
  TRY_ASSIGN(const auto policy, machine_.egress().policy_for(&record, config));
  std::vector<gate::Rule> granted;
  json::array names;
  for (const auto& target : targets) {
    const auto wish = std::find_if(wishes.begin(), wishes.end(), [&](const gate::Rule& each) { return target_of(each) == target; });
    if (wish == wishes.end()) return fail(ErrorKind::kConflict, fmt::format("the repository does not wish for {}", printable(target, 300)), "its list may have changed: locki net wishes");
    if (state_of(*wish, policy) != WishState::kOpen) continue;
    granted.push_back(*wish);
    names.emplace_back(target);
  }
  if (granted.empty()) return names;
  TRY(machine_.egress().rules().grant(record, granted));
  for (const auto& wish : granted) audit_.write("network", record, {{"granted", wish.to_string()}, {"scope", to_string(Scope::kRepository)}});
  TRY(apply_rules());
  return names;
}

Result<json::array> Manager::network_log(const Where& where, std::size_t limit) const {
  std::string id;
  if (!where.name.empty()) {
    TRY_ASSIGN(const Record record, find(where));
    id = record.id;
  }
  return last_entries(paths_.state / "net.jsonl", limit, [&](const json::object& entry) { return id.empty() || json::string_or(entry, "sandbox_id") == id; });
}

// A terminal that watches asks several times a second.
AskNotifier::Needs Manager::notifier_needs() {
  constexpr std::int64_t kWatchedMs = 2000;
  return {.questions = [this] { return machine_.egress().questions(); },
          .wanted =
              [this] {
                const auto config = this->config();
                const std::int64_t watched = watched_ms_;
                return config && config->net.notify && (watched == 0 || steady_ms() - watched > kWatchedMs);
              },
          .limit = [this] { return std::chrono::seconds(this->config().value_or(Config{}).net.ask_seconds); },
          .answer =
              [this](const gate::Question& question, bool allow) {
                auto done = answer_network(question.client_id, question.target.to_string(), allow ? "once" : "deny");
                if (!done) log::warning("an answer to a notification: {}", done.error().describe());
              }};
}

json::array Manager::network_questions() {
  watched_ms_ = steady_ms();
  json::array all;
  for (const auto& question : machine_.egress().questions()) {
    all.push_back(json::object{{"sandbox", question.client_name}, {"sandbox_id", question.client_id}, {"target", question.target.to_string()}});
  }
  return all;
}

Result<> Manager::answer_network(const std::string& id, const std::string& target, const std::string& answer) {
  TRY_ASSIGN(const auto scope, answer == "deny" ? Result<Scope>(Scope::kOnce) : parse_scope(answer));
  TRY_ASSIGN(const auto rule, gate::parse_rule_target(answer != "deny", target, "locki net watch"));
  if (scope == Scope::kAlways) return change_rules(scope, nullptr, rule);
  // The one that asks may be of another repository than the one in which the user stands: it is named by its id.
  TRY_ASSIGN(const auto records, records_.list());
  const auto record = std::find_if(records.begin(), records.end(), [&](const Record& each) { return each.id == id; });
  if (record == records.end()) return fail(ErrorKind::kNotFound, "the sandbox that asked is gone");
  return change_rules(scope, &*record, rule);
}

void Manager::note_import(const std::string& id, const mirror::Event& event) {
  const auto record = records_.load(id);
  if (!record) return;
  audit_.write("mirror", *record, {{"what", event.kind}, {"path", event.path}, {"version", event.version}, {"text", event.text}});
}

// By name, not by record: the log knows sandboxes that are gone.
Result<json::array> Manager::audit(const Where& where, std::size_t limit) const {
  std::string git_dir;
  if (auto repository = git::Repository::discover(git_, where.cwd)) git_dir = printable(repository->common_dir().native(), 4000);
  return audit_.last(limit, [&](const json::object& entry) {
    if (where.name.empty()) return true;
    return json::string_or(entry, "sandbox") == where.name && (git_dir.empty() || json::string_or(entry, "repo") == git_dir);
  });
}

}  // namespace locki::sandbox
