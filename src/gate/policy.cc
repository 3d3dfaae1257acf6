#include "gate/policy.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace locki::gate {
namespace {

constexpr std::string_view kServiceDomain = "locki.internal";
constexpr std::string_view kProxy = "gate.locki.internal:3128";
constexpr std::size_t kMaxRules = 10'000;

bool is_beneath(std::string_view name, std::string_view domain) {
  return name.size() > domain.size() && name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.';
}
bool is_or_beneath(std::string_view name, std::string_view domain) {
  return name == domain || is_beneath(name, domain);
}

bool matches_host(const Rule& rule, const Host& host) {
  // A literal is matched by its own rule only; a name never by an address rule.
  if (host.address || rule.host.address)
    return host.address && rule.host.address && *host.address == *rule.host.address;
  switch (rule.match) {
    case Rule::Match::kExact:
      return host.name == rule.host.name;
    case Rule::Match::kDomain:
      return is_or_beneath(host.name, rule.host.name);
    case Rule::Match::kBeneath:
      return is_beneath(host.name, rule.host.name);
  }
  return false;
}

// Names that mean something on the host or in its network, not on the internet (RFC 6761, RFC 6762, RFC 8375, ICANN's
// .internal).
bool is_local_name(std::string_view name) {
  if (name.find('.') == name.npos) return true;
  for (std::string_view domain : {"localhost", "local", "internal", "home.arpa", "localdomain", "lan"})
    if (is_or_beneath(name, domain)) return true;
  return false;
}

Decision decide_service(const Policy& policy, const Endpoint& endpoint) {
  for (const Service& service : policy.services)
    if (service.name == endpoint.host.name)
      return {true, "service " + service.name, "user", "a service of this machine that the user named", service};
  return {false, "no service", "", "no service of this name is configured", std::nullopt};
}

Decision decide_without_rule(const Policy& policy, const Endpoint& endpoint) {
  if (policy.mode == Mode::kGate) return {false, "no rule", "", "it is not on the allow list", std::nullopt};
  if (policy.mode == Mode::kAsk) return {false, "mode ask", "", "nobody has allowed it", std::nullopt, true};
  if (endpoint.host.address)
    return {false, "mode open", "", "an address needs a rule of its own, also in mode open", std::nullopt};
  if (is_local_name(endpoint.host.name))
    return {false, "mode open", "", "a local name needs a rule of its own, also in mode open", std::nullopt};
  return {true, "mode open", "", "every public host is allowed", std::nullopt};
}

// How a program inside gets to a host that is allowed, on a port that does not speak for itself. Not for services: they lead wherever they are called.
std::string way_inside(const Policy& policy, const Endpoint& endpoint) {
  if (endpoint.host.address) return fmt::format("through the proxy only ({}): plain addresses lead nowhere", kProxy);
  if (is_web(endpoint.port)) return "by its name";
  if (!named_ports(policy).contains(endpoint.port))
    return fmt::format("through the proxy only ({}), since no rule names port {}; directly, too, after: locki net allow {}", kProxy, endpoint.port, endpoint.to_string());
  if (named_hosts(policy).contains(endpoint.host.name)) return "by its name, which has an address of its own: in any protocol";
  return fmt::format("by its name in TLS and HTTP, which say it; else through the proxy ({}), or, in any protocol, after: locki net allow {}", kProxy, endpoint.to_string());
}

tl::unexpected<Error> bad_rule(std::string_view text, std::string_view why) {
  return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not a rule: {}", printable(text, 120), why),
              "a rule reads like \"allow host.example.org\", \"allow .example.org:8443\" or \"deny *.example.org\"");
}

}  // namespace

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::kGate:
      return "gate";
    case Mode::kOpen:
      return "open";
    case Mode::kOff:
      return "off";
    case Mode::kAsk:
      return "ask";
  }
  return "?";
}

Result<Mode> parse_mode(std::string_view text) {
  for (Mode mode : {Mode::kGate, Mode::kOpen, Mode::kOff, Mode::kAsk})
    if (text == to_string(mode)) return mode;
  return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not a network mode", printable(text, 40)),
              "use gate, ask, open or off");
}

bool is_web(std::uint16_t port) { return port == 80 || port == 443; }

bool Rule::matches(const Endpoint& endpoint) const {
  if (!matches_host(*this, endpoint.host)) return false;
  if (any_port) return true;
  if (port) return *port == endpoint.port;
  return !allow || is_web(endpoint.port);
}

std::string Rule::to_string() const {
  std::string text = allow ? "allow " : "deny ";
  if (match == Match::kDomain) text += ".";
  if (match == Match::kBeneath) text += "*.";
  const bool v6 = host.address && host.address->family == Address::Family::kV6;
  text += v6 ? "[" + host.name + "]" : host.name;
  if (any_port)
    text += ":*";
  else if (port)
    text += fmt::format(":{}", *port);
  return text;
}

Result<Rule> parse_rule_target(bool allow, std::string_view target, std::string_view source) {
  Rule rule{.allow = allow, .source = std::string(source)};
  std::string_view rest = target;
  if (rest.starts_with("*.")) {
    rule.match = Rule::Match::kBeneath;
    rest.remove_prefix(2);
  } else if (rest.starts_with(".")) {
    rule.match = Rule::Match::kDomain;
    rest.remove_prefix(1);
  } else if (rest == "*" || rest.starts_with("*:")) {
    return bad_rule(target, "it would match every host; mode open does that");
  }
  if (rest.ends_with(":*")) {
    rule.any_port = true;
    rest.remove_suffix(2);
    auto host = parse_host(rest);
    if (!host) return bad_rule(target, host.error().message());
    rule.host = std::move(*host);
  } else {
    // Port 0 cannot be written, so as a default it stands for "none given".
    auto endpoint = parse_endpoint(rest, 0);
    if (!endpoint) return bad_rule(target, endpoint.error().message());
    rule.host = std::move(endpoint->host);
    if (endpoint->port != 0) rule.port = endpoint->port;
  }
  if (rule.host.address && rule.match != Rule::Match::kExact) return bad_rule(target, "an address has no subdomains");
  if (is_or_beneath(rule.host.name, kServiceDomain))
    return bad_rule(target, "names under .locki.internal are services: see [net.services] in the config");
  return rule;
}

Result<> can_work(const Rule& rule) {
  if (!rule.allow) return {};
  if (rule.host.address) {
    const auto why = forbidden(*rule.host.address);
    if (!why) return {};
    return fail(ErrorKind::kUsage, fmt::format("no rule can open {}: {}", rule.host.name, *why),
                "one port of this machine or its network can be a service: [net.services] in the config, see docs/network.md");
  }
  if (is_or_beneath(rule.host.name, "localhost"))
    return fail(ErrorKind::kUsage, fmt::format("no rule can open {}: inside, it is the sandbox itself, and this machine is never reachable by it", rule.host.name),
                "one port of this machine can be a service: [net.services] in the config, see docs/network.md");
  return {};
}

std::string limits_of(const Rule& rule) {
  if (!rule.allow) return "";
  if (rule.host.address) return fmt::format("an address is reached through the proxy only ({})", kProxy);
  if (rule.any_port)
    return fmt::format("on ports that no other rule names, through the proxy only ({}); for a direct way name the port: locki net allow {}:PORT", kProxy,
                       rule.match == Rule::Match::kExact ? rule.host.name : "HOST");
  if (rule.match == Rule::Match::kExact || !rule.port || is_web(*rule.port)) return "";
  return fmt::format("on port {0} such hosts are found by TLS, HTTP and the proxy ({1}), which say the name; for any other protocol name the host: locki net allow HOST:{0}",
                     *rule.port, kProxy);
}

Result<Rule> parse_rule(std::string_view line, std::string_view source) {
  const std::string_view text = trim(line);
  const std::size_t space = text.find_first_of(" \t");
  if (space == text.npos) return bad_rule(text, "it has one word only");
  const std::string_view verb = text.substr(0, space);
  if (verb != "allow" && verb != "deny") return bad_rule(text, "it does not begin with allow or deny");
  return parse_rule_target(verb == "allow", trim(text.substr(space)), source);
}

Result<std::vector<Rule>> parse_rules(std::string_view text, std::string_view source) {
  std::vector<Rule> rules;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (rules.size() == kMaxRules) return fail(ErrorKind::kUsage, "more than 10000 network rules");
    TRY_ASSIGN(Rule rule, context(parse_rule(line, source), fmt::format("in line {}", number)));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<Service> parse_service(std::string_view name, std::string_view target) {
  const std::string hint = "write it as \"model.locki.internal\" = \"127.0.0.1:8080\"";
  auto host = parse_host(name);
  if (!host || host->address || !is_beneath(host->name, kServiceDomain))
    return fail(ErrorKind::kUsage,
                fmt::format("\"{}\" cannot name a service: it must end in .locki.internal", printable(name, 80)), hint);
  auto endpoint = parse_endpoint(target);
  if (!endpoint || !endpoint->host.address)
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not an address and a port", printable(target, 80)), hint);
  return Service{host->name, *endpoint->host.address, endpoint->port};
}

Decision decide(const Policy& policy, const Endpoint& endpoint) {
  if (policy.mode == Mode::kOff) return {false, "mode off", "", "the network is switched off", std::nullopt};
  if (is_or_beneath(endpoint.host.name, kServiceDomain)) return decide_service(policy, endpoint);
  for (const Rule& rule : policy.rules) {
    if (!rule.matches(endpoint)) continue;
    return {rule.allow, rule.to_string(), rule.source, rule.allow ? "a rule allows it" : "a rule denies it",
            std::nullopt};
  }
  return decide_without_rule(policy, endpoint);
}

std::set<std::string> named_hosts(const Policy& policy) {
  std::set<std::string> hosts;
  for (const Service& service : policy.services) hosts.insert(service.name);
  for (const Rule& rule : policy.rules) {
    if (rule.allow && rule.match == Rule::Match::kExact && !rule.host.address && rule.port && !is_web(*rule.port)) hosts.insert(rule.host.name);
  }
  return hosts;
}

std::set<std::uint16_t> named_ports(const Policy& policy) {
  std::set<std::uint16_t> ports;
  for (const Service& service : policy.services) ports.insert(service.port);
  for (const Rule& rule : policy.rules)
    if (rule.allow && rule.port) ports.insert(*rule.port);
  std::erase_if(ports, is_web);
  return ports;
}

std::string explain(const Policy& policy, const Endpoint& endpoint) {
  const Decision decision = decide(policy, endpoint);
  std::string text = fmt::format("{}: {}, because {}\n", endpoint.to_string(), decision.allowed ? "allowed" : "refused",
                                 decision.reason);
  text += fmt::format("  mode: {}\n  decided by: {}", to_string(policy.mode), decision.rule);
  if (!decision.source.empty()) text += fmt::format(" (from: {})", printable(decision.source, 120));
  text += "\n";
  if (decision.service)
    text += fmt::format("  connects to: {}:{} on this machine\n", decision.service->address.to_string(),
                        decision.service->port);
  std::size_t number = 0;
  for (const Rule& rule : policy.rules) {
    ++number;
    if (rule.matches(endpoint)) {
      text += fmt::format("  rule {} of {}: {}\n", number, policy.rules.size(), rule.to_string());
      break;
    }
    if (matches_host(rule, endpoint.host))
      text += fmt::format("  passed over because of its port: rule {}: {}\n", number, rule.to_string());
  }
  if (decision.allowed && !decision.service) text += fmt::format("  from inside: {}\n", way_inside(policy, endpoint));
  if (decision.allowed && !decision.service)
    text +=
        "  after resolution: loopback, private, link-local and metadata addresses are refused whatever the rules say\n";
  return text;
}

}  // namespace locki::gate
