// Manager: the network's rules and log. What `locki net allow` adds lives in CONFIG/net.rules, one rule a line, which is ours to write; the
// user's own config.toml is never touched.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "gate/policy.h"
#include "sandbox/manager.h"
#include "sandbox/network.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

constexpr std::string_view kHeader = "# Written by `locki net allow` and `locki net deny`; the first rule that matches decides. You may edit it.\n";

Result<gate::Policy> current_policy(const Config& config, const sys::Paths& paths, const sys::Installation& installation, const agents::AgentTable& agents) {
  std::vector<std::string> hosts;
  for (const auto& agent : agents.all()) hosts.insert(hosts.end(), agent.hosts.begin(), agent.hosts.end());
  return network_policy(config, paths, installation, hosts);
}

}  // namespace

Result<json::object> Manager::network_policy_json() {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto policy, current_policy(config, paths_, installation_, agents_));
  json::array rules;
  for (const auto& rule : policy.rules) rules.push_back(json::object{{"rule", rule.to_string()}, {"source", rule.source}});
  json::array services;
  for (const auto& [name, target] : config.net.services) services.push_back(json::object{{"name", name}, {"target", target}});
  return json::object{{"mode", gate::to_string(policy.mode)}, {"rules", std::move(rules)}, {"services", std::move(services)}};
}

Result<std::string> Manager::explain_network(const std::string& target) {
  TRY_ASSIGN(const Config config, this->config());
  TRY_ASSIGN(const auto policy, current_policy(config, paths_, installation_, agents_));
  TRY_ASSIGN(const auto endpoint, gate::parse_endpoint(target, 443));
  return gate::explain(policy, endpoint);
}

Result<> Manager::change_network(bool allow, const std::string& target) {
  TRY_ASSIGN(const auto rule, gate::parse_rule_target(allow, target, "locki net"));
  const auto file = paths_.config / "net.rules";
  {
    const std::scoped_lock guard(mutex_);
    auto text = sys::read_file(file, 1 << 20);
    if (!text && text.error().kind() != ErrorKind::kNotFound) return fail(std::move(text).error());
    // The newest rule comes first and stands; an older one for the same target goes.
    std::string opposite = rule.to_string();
    opposite.replace(0, opposite.find(' '), allow ? "deny" : "allow");
    std::string out = std::string(kHeader) + rule.to_string() + "\n";
    for (const auto& line : split_lines(text.value_or(""))) {
      const std::string_view trimmed = trim(line);
      if (line + "\n" == kHeader || trimmed == rule.to_string() || trimmed == opposite) continue;
      out += line + "\n";
    }
    TRY(sys::make_directories(paths_.config));
    TRY(sys::write_file(file, out, 0644));
  }
  TRY_ASSIGN(const Config config, this->config());
  return machine_.apply_network(config);
}

Result<json::array> Manager::network_log(std::size_t limit) const {
  json::array out;
  auto text = sys::read_file(paths_.state / "net.jsonl", 64 << 20);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return out;
  if (!text) return fail(std::move(text).error());
  auto lines = split_lines(*text);
  const std::size_t first = lines.size() > limit ? lines.size() - limit : 0;
  for (std::size_t i = first; i < lines.size(); ++i) {
    if (auto entry = json::parse_object(lines[i])) out.push_back(std::move(*entry));
  }
  return out;
}

}  // namespace locki::sandbox
