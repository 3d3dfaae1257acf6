// Which host and port a sandbox may reach, by name. Pure values: nothing here resolves, connects or logs.
//
// Order: (1) mode off refuses everything; (2) names under .locki.internal are services or nothing; (3) the rules, top
// to bottom: the first that matches decides; (4) without a match mode gate refuses, mode ask asks, mode open allows any name that is
// not a local one. Whatever is allowed here still has to pass the address rules (address.h) after resolution.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/host.h"

namespace locki::gate {

// kAsk is kGate, but what no rule decides is held until the user has.
enum class Mode { kGate, kOpen, kOff, kAsk };
std::string_view to_string(Mode mode);
Result<Mode> parse_mode(std::string_view text);  // "gate", "open", "off", "ask"; kUsage

struct Rule {
  enum class Match {
    kExact,   // host.example.org
    kDomain,  // .example.org: the domain and everything beneath it
    kBeneath  // *.example.org: only what is beneath it
  };
  bool allow = true;
  Match match = Match::kExact;
  Host host;
  std::optional<std::uint16_t> port;  // with ":443"
  bool any_port = false;  // with ":*"; a deny rule without a port means every port, an allow rule 80 and 443
  std::string source;     // who asked for it: "user", "default", "npm (~/.npmrc)"

  bool operator==(const Rule&) const = default;
  bool matches(const Endpoint& endpoint) const;
  std::string to_string() const;  // "allow .example.org:8443"
};

// "allow .example.org", "deny host.example.org:25", "allow 203.0.113.7:443", "allow [2001:db8::1]", "allow
// db.example.org:*". kUsage.
Result<Rule> parse_rule(std::string_view line, std::string_view source);
// The same without the first word, as in `locki net allow HOST`.
Result<Rule> parse_rule_target(bool allow, std::string_view target, std::string_view source);
// kUsage with what to do instead, for an allow rule of which no connection can ever come: an address that is never reachable (address.h; the host's own are not
// looked at), or a name that means this machine itself.
Result<> can_work(const Rule& rule);
// What a program inside has to know about a rule on ports of its own whose hosts get no address to themselves (named_hosts()): which ways are left and
// how to have all. "" when there is nothing to know.
std::string limits_of(const Rule& rule);
// One rule a line; "#" starts a comment. The error names the line. At most 10,000 rules.
Result<std::vector<Rule>> parse_rules(std::string_view text, std::string_view source);

// A made-up name under .locki.internal that stands for exactly one address and port, wherever that is: the only way to
// the host's loopback.
struct Service {
  std::string name;
  Address address;
  std::uint16_t port = 0;
  bool operator==(const Service&) const = default;
};
// ("model.locki.internal", "127.0.0.1:8080"). kUsage.
Result<Service> parse_service(std::string_view name, std::string_view target);

struct Policy {
  Mode mode = Mode::kGate;
  std::vector<Rule> rules;  // the user's first, then those found in tools' configuration, then the defaults
  std::vector<Service> services;
  std::chrono::milliseconds ask_time{30'000};  // how long mode ask waits
};

struct Decision {
  bool allowed = false;
  std::string rule;                // the rule's text, or "mode open", "no rule", …
  std::string source;              // the rule's source, if a rule decided
  std::string reason;              // a sentence for people
  std::optional<Service> service;  // connect to exactly this
  bool ask = false;                // not allowed, but the user may say so now
};
Decision decide(const Policy& policy, const Endpoint& endpoint);
// Services, and the hosts that rules allow on a port of their own: each gets an address to itself (host_table.h). Not those of whole domains:
// what does not say its host can be meant for any of theirs.
std::set<std::string> named_hosts(const Policy& policy);
// What an allow rule without a port means.
bool is_web(std::uint16_t port);
// Ports other than those that rules and services name.
std::set<std::uint16_t> named_ports(const Policy& policy);
// Several lines: the decision, the rule with its source and position, what was passed over because of its port, and how programs inside get there
// when the name alone does not lead them.
std::string explain(const Policy& policy, const Endpoint& endpoint);

}  // namespace locki::gate
