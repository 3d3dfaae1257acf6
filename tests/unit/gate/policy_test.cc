#include "gate/policy.h"

#include <gtest/gtest.h>

#include "gate/defaults.h"

namespace locki::gate {
namespace {

Endpoint endpoint(std::string_view text) { return parse_endpoint(text).value(); }
Policy policy(std::string_view rules, Mode mode = Mode::kGate) {
  return {mode, parse_rules(rules, "user").value(), {}};
}
bool allowed(const Policy& p, std::string_view target) { return decide(p, endpoint(target)).allowed; }

TEST(Policy, WithoutARuleTheGateRefusesAndNamesNoRule) {
  const Decision decision = decide(policy(""), endpoint("example.org:443"));
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.rule, "no rule");
}

TEST(Policy, AnExactRuleMatchesThatHostOnly) {
  const Policy p = policy("allow api.example.org");
  EXPECT_TRUE(allowed(p, "api.example.org:443"));
  EXPECT_TRUE(allowed(p, "API.Example.ORG:443"));
  EXPECT_FALSE(allowed(p, "x.api.example.org:443"));
  EXPECT_FALSE(allowed(p, "example.org:443"));
  EXPECT_FALSE(allowed(p, "evilapi.example.org:443"));
}

TEST(Policy, ADomainRuleMatchesTheDomainAndWhatIsBeneath) {
  const Policy p = policy("allow .example.org");
  EXPECT_TRUE(allowed(p, "example.org:443"));
  EXPECT_TRUE(allowed(p, "a.b.example.org:80"));
  EXPECT_FALSE(allowed(p, "badexample.org:443"));
  EXPECT_FALSE(allowed(p, "example.org.evil.test:443"));
}

TEST(Policy, AStarRuleMatchesOnlyBeneath) {
  const Policy p = policy("allow *.example.org");
  EXPECT_FALSE(allowed(p, "example.org:443"));
  EXPECT_TRUE(allowed(p, "a.example.org:443"));
}

TEST(Policy, PortsDefaultToTheWebForAllowAndToAllForDeny) {
  const Policy p =
      policy("deny bad.example.org\nallow .example.org\nallow db.example.net:5432\nallow any.example.net:*");
  EXPECT_TRUE(allowed(p, "a.example.org:80"));
  EXPECT_FALSE(allowed(p, "a.example.org:22"));
  EXPECT_FALSE(allowed(p, "bad.example.org:443"));
  EXPECT_TRUE(allowed(p, "db.example.net:5432"));
  EXPECT_FALSE(allowed(p, "db.example.net:443"));
  EXPECT_TRUE(allowed(p, "any.example.net:65535"));
  EXPECT_FALSE(allowed(policy("deny x.example.org", Mode::kOpen), "x.example.org:2222"));
}

TEST(Policy, TheFirstMatchDecides) {
  EXPECT_FALSE(allowed(policy("deny a.example.org\nallow .example.org"), "a.example.org:443"));
  EXPECT_TRUE(allowed(policy("allow .example.org\ndeny a.example.org"), "a.example.org:443"));
  // A rule for another port is no match, so the next one is asked.
  EXPECT_TRUE(allowed(policy("deny a.example.org:80\nallow .example.org"), "a.example.org:443"));
}

TEST(Policy, AddressesNeedTheirOwnRuleInEveryMode) {
  EXPECT_FALSE(allowed(policy("", Mode::kOpen), "203.0.113.7:443"));
  EXPECT_TRUE(allowed(policy("allow 203.0.113.7", Mode::kOpen), "203.0.113.7:443"));
  EXPECT_TRUE(allowed(policy("allow [2001:db8:0::1]:8443"), "[2001:DB8::1]:8443"));
  EXPECT_FALSE(allowed(policy("allow .113.example.org"), "203.0.113.7:443"));
}

TEST(Policy, OpenAllowsPublicNamesOnAnyPortButNotLocalOnes) {
  const Policy p = policy("deny .example.net", Mode::kOpen);
  EXPECT_TRUE(allowed(p, "whatever.example.org:2222"));
  EXPECT_FALSE(allowed(p, "a.example.net:443"));
  for (const char* name :
       {"localhost:80", "printer:80", "a.localhost:80", "nas.local:80", "metadata.google.internal:80", "router.lan:80"})
    EXPECT_FALSE(allowed(p, name)) << name;
}

TEST(Policy, OffRefusesEverythingServicesIncluded) {
  Policy p = policy("allow .example.org", Mode::kOff);
  p.services.push_back(parse_service("model.locki.internal", "127.0.0.1:8080").value());
  EXPECT_FALSE(allowed(p, "a.example.org:443"));
  EXPECT_FALSE(allowed(p, "model.locki.internal:443"));
}

TEST(Policy, ServicesMapAnyPortToOneAddress) {
  Policy p = policy("", Mode::kOpen);
  p.services.push_back(parse_service("Model.locki.internal", "127.0.0.1:8080").value());
  const Decision decision = decide(p, endpoint("model.locki.internal:1234"));
  ASSERT_TRUE(decision.service);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.service->port, 8080);
  EXPECT_EQ(decision.service->address.to_string(), "127.0.0.1");
  EXPECT_FALSE(allowed(p, "other.locki.internal:80"));
  EXPECT_FALSE(allowed(p, "x.model.locki.internal:80"));
  EXPECT_FALSE(allowed(p, "locki.internal:80"));
}

TEST(Policy, ServicesMustBeUnderTheirDomainAndNameAnAddress) {
  EXPECT_FALSE(parse_service("model.example.org", "127.0.0.1:80"));
  EXPECT_FALSE(parse_service("locki.internal", "127.0.0.1:80"));
  EXPECT_FALSE(parse_service("xlocki.internal", "127.0.0.1:80"));
  EXPECT_FALSE(parse_service("a.locki.internal", "localhost:80"));
  EXPECT_FALSE(parse_service("a.locki.internal", "127.0.0.1"));
  EXPECT_TRUE(parse_service("a.locki.internal", "[::1]:80"));
}

TEST(Policy, RulesThatMakeNoSenseAreRefused) {
  for (const char* line :
       {"allow", "allow *", "permit a.example.org", "allow a.example.org b", "allow a_b.example.org",
        "allow a.example.org.", "allow .1.2.3.4", "allow 127.1", "allow a.example.org:0", "allow a.example.org:99999",
        "allow https://a.example.org", "allow ..example.org", "allow model.locki.internal", "allow *.*.example.org"})
    EXPECT_FALSE(parse_rule(line, "user")) << line;
  const auto rules = parse_rules("allow a.example.org\n\n# fine\nallow b_c # no\n", "user");
  ASSERT_FALSE(rules);
  EXPECT_EQ(rules.error().kind(), ErrorKind::kUsage);
  EXPECT_NE(rules.error().describe().find("line 4"), std::string::npos);
}

TEST(Policy, ARulesTextReadsBackAsTheSameRule) {
  for (const char* line : {"allow a.example.org", "deny .example.org:8443", "allow *.example.org:*",
                           "allow [2001:db8::1]:443", "deny 203.0.113.7"}) {
    const Rule rule = parse_rule(line, "user").value();
    EXPECT_EQ(rule.to_string(), line);
    EXPECT_EQ(parse_rule(rule.to_string(), "user").value(), rule);
  }
}

TEST(Policy, ExplainNamesTheRuleAndWhatWasPassedOver) {
  const std::string text =
      explain(policy("allow a.example.org:8443\nallow .example.org"), endpoint("a.example.org:443"));
  EXPECT_NE(text.find("allowed"), std::string::npos);
  EXPECT_NE(text.find("passed over because of its port: rule 1"), std::string::npos);
  EXPECT_NE(text.find("rule 2 of 2: allow .example.org"), std::string::npos);
}

TEST(Policy, ExplainSaysHowProgramsInsideGetThere) {
  const Policy p = policy("allow db.example.org:5432\nallow *.example.net:5432\nallow git.example.org:*\nallow 203.0.113.7:5432");
  const auto says = [&](std::string_view target, std::string_view text) { return explain(p, endpoint(target)).find("from inside: " + std::string(text)) != std::string::npos; };
  EXPECT_TRUE(says("db.example.org:5432", "by its name, which has an address of its own"));
  EXPECT_TRUE(says("a.example.net:5432", "by its name in TLS and HTTP"));
  EXPECT_TRUE(says("git.example.org:5432", "by its name in TLS and HTTP"));
  EXPECT_TRUE(says("git.example.org:443", "by its name\n"));
  EXPECT_TRUE(says("git.example.org:9418", "through the proxy only (gate.locki.internal:3128), since no rule names port 9418"));
  EXPECT_TRUE(says("203.0.113.7:5432", "through the proxy only"));
  EXPECT_FALSE(says("other.example.org:443", ""));
}

TEST(Policy, AnAllowOfWhatIsNeverReachableIsAnError) {
  const auto works = [](std::string_view text) { return can_work(parse_rule(text, "user").value()); };
  for (const char* text : {"allow 10.1.2.3:5432", "allow 127.0.0.1", "allow 169.254.169.254", "allow [::1]:80", "allow localhost", "allow *.localhost:80"}) {
    const auto outcome = works(text);
    ASSERT_FALSE(outcome) << text;
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kUsage) << text;
    EXPECT_NE(outcome.error().hint().find("[net.services]"), std::string::npos) << text;
  }
  for (const char* text : {"deny 10.1.2.3", "deny localhost", "allow 203.0.113.7:5432", "allow printer", "allow *.example.org:5432"}) EXPECT_TRUE(works(text)) << text;
}

TEST(Policy, LimitsOfRulesThatNameNoHostAndPort) {
  const auto limits = [](std::string_view text) { return limits_of(parse_rule(text, "user").value()); };
  for (const char* text : {"allow db.example.org:5432", "allow .example.org", "allow *.example.org:443", "deny *.example.org:5432", "deny 203.0.113.7"}) EXPECT_EQ(limits(text), "") << text;
  EXPECT_NE(limits("allow *.example.org:5432").find("locki net allow HOST:5432"), std::string::npos);
  EXPECT_NE(limits("allow git.example.org:*").find("locki net allow git.example.org:PORT"), std::string::npos);
  EXPECT_NE(limits("allow .example.org:*").find("locki net allow HOST:PORT"), std::string::npos);
  EXPECT_NE(limits("allow 203.0.113.7").find("through the proxy only"), std::string::npos);
  EXPECT_FALSE(parse_rule("allow *:5432", "user"));
}

TEST(Policy, TheDefaultsParseAndCoverTheAgents) {
  const auto rules = default_rules(LOCKI_SOURCE_DIR "/share");
  ASSERT_TRUE(rules) << rules.error().describe();
  const Policy p{Mode::kGate, *rules, {}};
  EXPECT_TRUE(allowed(p, "api.anthropic.com:443"));
  EXPECT_TRUE(allowed(p, "chatgpt.com:443"));
  EXPECT_TRUE(allowed(p, "generativelanguage.googleapis.com:443"));
  EXPECT_FALSE(allowed(p, "storage.googleapis.com:443"));
  EXPECT_FALSE(allowed(p, "example.org:443"));
}

TEST(Policy, TheUsersRulesComeBeforeTheDefaults) {
  const auto user = parse_rules("deny .debian.org", "user").value();
  const Policy p{Mode::kGate, assemble_rules(user, {}, default_rules(LOCKI_SOURCE_DIR "/share").value()), {}};
  EXPECT_FALSE(allowed(p, "www.debian.org:443"));
}

}  // namespace
}  // namespace locki::gate
