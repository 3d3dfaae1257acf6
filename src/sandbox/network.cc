#include "sandbox/network.h"

#include <cstdlib>
#include <mutex>

#include "gate/defaults.h"
#include "gate/registries.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

std::map<std::string, std::string> tool_environment() {
  std::map<std::string, std::string> environment;
  for (const char* name : {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "GOPROXY", "PIP_INDEX_URL",
                           "PIP_EXTRA_INDEX_URL", "npm_config_registry", "NPM_CONFIG_REGISTRY"}) {
    if (const char* value = std::getenv(name)) environment[name] = value;
  }
  return environment;
}

// Asked once a daemon: npm takes half a second.
const std::vector<gate::Rule>& tool_rules(const sys::Paths& paths) {
  static std::once_flag once;
  static std::vector<gate::Rule> rules;
  std::call_once(once, [&] { rules = gate::configured_registries({.home = paths.home, .environment = tool_environment()}); });
  return rules;
}

}  // namespace

Result<gate::Policy> network_policy(const Config& config, const sys::Paths& paths, const sys::Installation& installation, UserRules own,
                                    const std::vector<std::string>& agent_hosts) {
  gate::Policy policy;
  TRY_ASSIGN(policy.mode, gate::parse_mode(config.net.mode));
  policy.ask_time = std::chrono::seconds(config.net.ask_seconds);
  std::vector<gate::Rule> user = std::move(own.said);
  for (const auto& target : config.net.deny) {
    TRY_ASSIGN(auto rule, gate::parse_rule_target(false, target, "config"));
    user.push_back(std::move(rule));
  }
  for (const auto& target : config.net.allow) {
    TRY_ASSIGN(auto rule, gate::parse_rule_target(true, target, "config"));
    user.push_back(std::move(rule));
  }
  user.insert(user.end(), own.granted.begin(), own.granted.end());
  TRY_ASSIGN(auto defaults, gate::default_rules(installation.share));
  for (const auto& host : agent_hosts) {
    TRY_ASSIGN(auto rule, gate::parse_rule_target(true, host, "agents"));
    defaults.push_back(std::move(rule));
  }
  policy.rules = gate::assemble_rules(std::move(user), tool_rules(paths), std::move(defaults));
  for (const auto& [name, target] : config.net.services) {
    TRY_ASSIGN(auto service, gate::parse_service(name, target));
    policy.services.push_back(std::move(service));
  }
  return policy;
}

Result<gate::Upstream> network_upstream(const Config& config) {
  if (config.net.upstream.empty()) return gate::upstream_from_environment(tool_environment());
  TRY_ASSIGN(auto proxy, gate::parse_upstream(config.net.upstream));
  return gate::Upstream{.http = proxy, .https = proxy, .no_proxy = {}};
}

}  // namespace locki::sandbox
