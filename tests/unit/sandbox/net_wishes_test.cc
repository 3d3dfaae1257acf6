// A repository's wish for a host is strict, bounded, and opens nothing before the user has granted it.
#include "sandbox/net_wishes.h"

#include <gtest/gtest.h>

#include "sandbox/config.h"
#include "sandbox/network.h"
#include "sys/file.h"

namespace locki::sandbox {
namespace {

gate::Rule rule(const std::string& line) { return gate::parse_rule(line, "you").value(); }
gate::Rule wish(const std::string& target) { return parse_net_wishes({target}).value().front(); }

TEST(NetWishes, AreReadStrictly) {
  const auto wishes = parse_wishes("[net]\nallow = [\"db.example.org:5432\", \".Example.net\", \"*.example.com\", \"db.example.org:5432\"]\n");
  ASSERT_TRUE(wishes) << wishes.error().describe();
  ASSERT_EQ(wishes->net.size(), 3u);
  EXPECT_EQ(target_of(wishes->net[0]), "db.example.org:5432");
  EXPECT_EQ(target_of(wishes->net[1]), ".example.net");
  EXPECT_EQ(target_of(wishes->net[2]), "*.example.com");
  for (const char* bad : {"127.0.0.1", "203.0.113.7:443", "[2001:db8::1]", "127.1", "model.locki.internal", ".locki.internal", "a.example:*", ".org", "*.org", "printer", "",
                          "a b.example", "deny a.example", "a.example\\nallow b.example", "a_b.example", "http://a.example", "a.example:0", "a.example:99999"})
    EXPECT_FALSE(parse_wishes(std::string("[net]\nallow = [\"") + bad + "\"]\n")) << bad;
  for (const char* bad : {"deny = [\"a.example\"]", "mode = \"open\"", "allow = \"a.example\"", "allow = [1]", "services = {}", "upstream = \"x\"", "ask_seconds = 1"})
    EXPECT_FALSE(parse_wishes(std::string("[net]\n") + bad + "\n")) << bad;
  EXPECT_FALSE(parse_net_wishes({"a." + std::string(400, 'a')}));
  std::vector<std::string> many(kMostWishes, "a.example");
  EXPECT_TRUE(parse_net_wishes(many));
  many.push_back("b.example");
  EXPECT_FALSE(parse_net_wishes(many));
}

TEST(NetWishes, HaveAState) {
  gate::Policy policy;
  policy.rules = {rule("deny bad.example"), rule("deny db.example:25"), rule("allow .example.org"), rule("allow half.example:443")};
  EXPECT_EQ(state_of(wish("db.example:5432"), policy), WishState::kOpen);
  EXPECT_EQ(state_of(wish("www.example.org"), policy), WishState::kAllowed);
  EXPECT_EQ(state_of(wish("*.example.org"), policy), WishState::kAllowed);
  EXPECT_EQ(state_of(wish("www.example.org:22"), policy), WishState::kOpen);
  EXPECT_EQ(state_of(wish("half.example"), policy), WishState::kOpen);
  EXPECT_EQ(state_of(wish("bad.example:8443"), policy), WishState::kDenied);
  policy.rules.push_back(wish("db.example:5432"));
  policy.rules.push_back(wish("db.example:25"));
  EXPECT_EQ(state_of(wish("db.example:5432"), policy), WishState::kGranted);
  EXPECT_EQ(state_of(wish("db.example:25"), policy), WishState::kDenied);
  policy.mode = gate::Mode::kOpen;
  EXPECT_EQ(state_of(wish("other.example"), policy), WishState::kOpen) << "a mode is not a grant";
  policy.mode = gate::Mode::kOff;
  EXPECT_EQ(state_of(wish("db.example:5432"), policy), WishState::kGranted);
}

class NetGrants : public ::testing::Test {
 protected:
  Record record(const std::string& id, const std::string& git_dir) {
    Record made;
    made.id = id;
    made.name = "s";
    made.git_dir = git_dir;
    EXPECT_TRUE(sys::make_directories(paths_.state / "sandboxes" / id));
    return made;
  }
  std::vector<std::string> granted(const Record& whom) {
    std::vector<std::string> all;
    const auto rules = rules_.rules_for(&whom);
    EXPECT_TRUE(rules) << rules.error().describe();
    if (!rules) return {};
    for (const auto& each : rules->granted) all.push_back(target_of(each));
    return all;
  }
  void wishes(const Record& whom, const std::vector<std::string>& targets) { ASSERT_TRUE(rules_.set_wishes(whom, parse_net_wishes(targets).value())); }

  sys::TemporaryDirectory directory_ = sys::TemporaryDirectory::make("/tmp", "locki-test").value();
  sys::Paths paths_ = [this] {
    sys::Paths paths;
    paths.config = directory_.path() / "config";
    paths.state = directory_.path() / "state";
    return paths;
  }();
  NetRules rules_{paths_};
};

using Lines = std::vector<std::string>;

TEST_F(NetGrants, HoldForTheRepositoryAndWhatItsCommitWishesFor) {
  const Record one = record("aaaaaaaaaaaa", "/r/.git"), sibling = record("bbbbbbbbbbbb", "/r/.git"), stranger = record("cccccccccccc", "/other/.git");
  for (const Record& each : {one, sibling, stranger}) wishes(each, {"a.example", "b.example:22"});
  EXPECT_EQ(granted(one), Lines{});
  ASSERT_TRUE(rules_.grant(one, {wish("a.example"), wish("b.example:22")}));
  EXPECT_EQ(granted(one), (Lines{"a.example", "b.example:22"}));
  EXPECT_EQ(granted(sibling), (Lines{"a.example", "b.example:22"}));
  EXPECT_EQ(granted(stranger), Lines{});
  // Another commit, another list: what is new in it is not granted, and what is gone holds no more.
  wishes(sibling, {"b.example:22", "b.example:23", ".b.example"});
  EXPECT_EQ(granted(sibling), Lines{"b.example:22"});
  wishes(sibling, {});
  EXPECT_EQ(granted(sibling), Lines{});
  EXPECT_EQ(granted(one), (Lines{"a.example", "b.example:22"}));
  // Another daemon knows them, and granting twice adds nothing.
  ASSERT_TRUE(NetRules(paths_).grant(one, {wish("a.example")}));
  EXPECT_EQ(granted(one), (Lines{"a.example", "b.example:22"}));
}

TEST_F(NetGrants, EveryRuleOfTheUserComesBeforeThem) {
  const Record one = record("aaaaaaaaaaaa", "/r/.git");
  wishes(one, {"a.example", "b.example", "c.example"});
  ASSERT_TRUE(rules_.grant(one, rules_.wishes_of(one).value()));
  ASSERT_TRUE(rules_.add(Scope::kAlways, nullptr, rule("deny a.example")));
  Config config;
  config.net.deny = {"b.example"};
  sys::Installation installation;
  installation.share = std::filesystem::path(LOCKI_SOURCE_DIR) / "share";
  paths_.home = directory_.path();
  const auto policy = network_policy(config, paths_, installation, rules_.rules_for(&one).value(), {});
  ASSERT_TRUE(policy) << policy.error().describe();
  EXPECT_FALSE(gate::decide(*policy, gate::parse_endpoint("a.example:443").value()).allowed);
  EXPECT_FALSE(gate::decide(*policy, gate::parse_endpoint("b.example:443").value()).allowed);
  const auto decision = gate::decide(*policy, gate::parse_endpoint("c.example:443").value());
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.source, kGrantedSource);
}

}  // namespace
}  // namespace locki::sandbox
