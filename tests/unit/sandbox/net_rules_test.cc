#include "sandbox/net_rules.h"

#include <gtest/gtest.h>

#include "sandbox/audit.h"
#include "sandbox/egress.h"
#include "sandbox/provision.h"
#include "sys/file.h"

namespace locki::sandbox {
namespace {

class NetRulesTest : public ::testing::Test {
 protected:
  static Record record(const std::string& id, const std::string& name, const std::string& git_dir) {
    Record made;
    made.id = id;
    made.name = name;
    made.repo = made.git_dir = git_dir;
    return made;
  }
  static gate::Rule rule(const std::string& line) { return gate::parse_rule(line, "").value(); }
  void add(Scope scope, const Record& whom, const std::string& line) {
    const auto done = rules_.add(scope, &whom, rule(line));
    ASSERT_TRUE(done) << done.error().describe();
  }
  std::vector<std::string> seen(const Record* whom) {
    const auto all = rules_.rules_for(whom);
    EXPECT_TRUE(all) << all.error().describe();
    std::vector<std::string> lines;
    for (const auto& each : all->said) lines.push_back(each.to_string());
    return lines;
  }

  sys::TemporaryDirectory directory_ = sys::TemporaryDirectory::make("/tmp", "locki-test").value();
  sys::Paths paths_ = [this] {
    sys::Paths paths;
    paths.config = directory_.path() / "config";
    paths.state = directory_.path() / "state";
    return paths;
  }();
  NetRules rules_{paths_};
  Record one_ = record("aaaaaaaaaaaa", "one", "/r/.git"), sibling_ = record("bbbbbbbbbbbb", "two", "/r/.git"), stranger_ = record("cccccccccccc", "one", "/other/.git");
};

using Lines = std::vector<std::string>;

TEST_F(NetRulesTest, TheNarrowerScopeComesFirstAndHoldsForItsOwnOnly) {
  for (const Record* each : {&one_, &sibling_, &stranger_}) ASSERT_TRUE(sys::make_directories(paths_.state / "sandboxes" / each->id));
  add(Scope::kAlways, one_, "allow always.example");
  add(Scope::kRepository, one_, "allow repo.example");
  add(Scope::kSandbox, one_, "deny always.example");
  add(Scope::kOnce, one_, "allow once.example:8080");
  EXPECT_EQ(seen(&one_), (Lines{"allow once.example:8080", "deny always.example", "allow repo.example", "allow always.example"}));
  EXPECT_EQ(seen(&sibling_), (Lines{"allow repo.example", "allow always.example"}));
  EXPECT_EQ(seen(&stranger_), Lines{"allow always.example"});
  EXPECT_EQ(seen(nullptr), Lines{"allow always.example"});
  EXPECT_EQ(rules_.rules_for(&one_)->said.at(1).source, "sandbox one");
  // Another daemon knows all but what was for once.
  EXPECT_EQ(NetRules(paths_).rules_for(&one_)->said.size(), 3u);
  rules_.forget_once(one_.id);
  EXPECT_EQ(seen(&one_).front(), "deny always.example");
}

TEST_F(NetRulesTest, TheNewestStandsAndWhatAPersonWroteStays) {
  ASSERT_TRUE(sys::make_directories(paths_.config));
  ASSERT_TRUE(sys::write_file(paths_.config / "net.rules", "# mine\nallow a.example\ndeny b.example  # because\n"));
  add(Scope::kAlways, one_, "deny a.example");
  add(Scope::kAlways, one_, "allow c.example");
  EXPECT_EQ(seen(nullptr), (Lines{"allow c.example", "deny a.example", "deny b.example"}));
  const auto text = sys::read_file(paths_.config / "net.rules").value();
  EXPECT_NE(text.find("# mine\n"), std::string::npos);
  EXPECT_NE(text.find("# because\n"), std::string::npos);
  EXPECT_EQ(text.find("# Written by"), text.rfind("# Written by")) << "one heading";
}

TEST_F(NetRulesTest, AFileThatHoldsSomethingElseIsAnError) {
  ASSERT_TRUE(sys::make_directories(paths_.config));
  ASSERT_TRUE(sys::write_file(paths_.config / "net.rules", "allow everything please\n"));
  EXPECT_EQ(rules_.rules_for(nullptr).error().kind(), ErrorKind::kUsage);
}

TEST_F(NetRulesTest, ModesOfOneSandbox) {
  ASSERT_TRUE(sys::make_directories(paths_.state / "sandboxes" / one_.id));
  EXPECT_EQ(rules_.mode_of(one_).value(), std::nullopt);
  ASSERT_TRUE(rules_.set_mode(one_, gate::Mode::kAsk));
  EXPECT_EQ(rules_.mode_of(one_).value(), gate::Mode::kAsk);
  EXPECT_EQ(rules_.mode_of(sibling_).value(), std::nullopt);
  ASSERT_TRUE(rules_.set_mode(one_, std::nullopt));
  EXPECT_EQ(rules_.mode_of(one_).value(), std::nullopt);
}

TEST(GateAddress, IsOfTheSandboxAndNobodyElse) {
  EXPECT_EQ(gate_address("10.77.1.1")->to_string(), "198.19.0.64");
  EXPECT_EQ(gate_address("10.77.4.250")->to_string(), "198.19.250.0");
  EXPECT_EQ(gate_address(std::string(kBuilderAddress))->to_string(), "198.19.0.0");
  for (const std::string address : {"10.77.0.1", "10.77.0.3", "10.77.5.1", "10.77.1.0", "10.77.1.251", "10.78.1.1", "11.77.1.1", "127.0.0.1", "", "10.77.1", "::1"}) EXPECT_FALSE(gate_address(address)) << address;
}

TEST_F(NetRulesTest, TheAuditTrailIsPrintableAndFiltered) {
  ASSERT_TRUE(sys::make_directories(paths_.state));
  AuditTrail trail(paths_.state / "audit.jsonl");
  trail.write("created", one_, {{"base", "c0ffee"}});
  trail.write("mirror", sibling_, {{"what", "conflict"}, {"path", "a\x1b[2J\nb"}, {"text", "npm_" + std::string(36, 'x')}});
  trail.write_for_all("network", {{"rule", "allow a.example"}});
  const auto all = trail.last(10, [](const json::object&) { return true; });
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ(json::string_or(all->at(0).get_object(), "sandbox"), "one");
  EXPECT_EQ(json::string_or(all->at(1).get_object(), "path"), "a\\x1b[2J\\nb");
  EXPECT_EQ(json::string_or(all->at(1).get_object(), "text"), "npm_[redacted]");
  const auto last = trail.last(1, [](const json::object& entry) { return json::string_or(entry, "sandbox") == "two"; });
  ASSERT_TRUE(last && last->size() == 1u);
}

}  // namespace
}  // namespace locki::sandbox
