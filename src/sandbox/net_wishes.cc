#include "sandbox/net_wishes.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace locki::sandbox {

namespace {

constexpr std::size_t kLongestTarget = 300;
constexpr std::string_view kServices = "locki.internal";

// Why nobody may wish for this, "" when one may.
std::string objection(const gate::Rule& rule) {
  const std::string& name = rule.host.name;
  if (rule.host.address) return "is an address";
  if (rule.any_port) return "asks for every port";
  if (name == kServices || name.ends_with("." + std::string(kServices))) return "is a service of the user's machine";
  if (name.find('.') == name.npos) return rule.match == gate::Rule::Match::kExact ? "is a name of the user's own network" : "asks for a whole top-level domain";
  return "";
}

// A host that the rule is about.
std::string example_of(const gate::Rule& rule) { return rule.match == gate::Rule::Match::kBeneath ? "x." + rule.host.name : rule.host.name; }

}  // namespace

Result<std::vector<gate::Rule>> parse_net_wishes(const std::vector<std::string>& targets) {
  if (targets.size() > kMostWishes) return fail(ErrorKind::kUsage, fmt::format("\"net.allow\" wishes for {} hosts; {} is the most", targets.size(), kMostWishes));
  std::vector<gate::Rule> wishes;
  for (const auto& target : targets) {
    auto rule = target.size() <= kLongestTarget ? gate::parse_rule_target(true, target, kGrantedSource) : fail(ErrorKind::kUsage, "it is too long");
    if (!rule) return fail(ErrorKind::kUsage, fmt::format("\"net.allow\" holds \"{}\": {}", printable(target, 80), rule.error().message()));
    if (const auto why = objection(*rule); !why.empty())
      return fail(ErrorKind::kUsage, fmt::format("\"net.allow\" holds \"{}\", which {}: only the user may allow that", printable(target, 80), why));
    if (std::find(wishes.begin(), wishes.end(), *rule) == wishes.end()) wishes.push_back(std::move(*rule));
  }
  return wishes;
}

std::string_view to_string(WishState state) {
  switch (state) {
    case WishState::kOpen:
      return "open";
    case WishState::kGranted:
      return "granted";
    case WishState::kAllowed:
      return "allowed";
    case WishState::kDenied:
      break;
  }
  return "denied";
}

WishState state_of(const gate::Rule& wish, gate::Policy policy) {
  policy.mode = gate::Mode::kGate;
  bool allowed = true;
  for (const std::uint16_t port : wish.port ? std::vector{*wish.port} : std::vector<std::uint16_t>{443, 80}) {
    auto host = gate::parse_host(example_of(wish));
    if (!host) return WishState::kOpen;
    const gate::Decision decision = gate::decide(policy, {std::move(*host), port});
    if (!decision.allowed && !decision.source.empty()) return WishState::kDenied;
    allowed = allowed && decision.allowed;
  }
  const bool granted = std::find(policy.rules.begin(), policy.rules.end(), wish) != policy.rules.end();
  return granted ? WishState::kGranted : allowed ? WishState::kAllowed : WishState::kOpen;
}

std::string target_of(const gate::Rule& wish) { return wish.to_string().substr(std::string_view("allow ").size()); }

}  // namespace locki::sandbox
