#include "gate/host_table.h"

#include <gtest/gtest.h>

#include "gate/policy.h"

namespace locki::gate {
namespace {

TEST(HostTable, ANameKeepsItsAddress) {
  HostTable table;
  EXPECT_TRUE(table.add({"b.example", "c.example"}).empty());
  EXPECT_TRUE(table.add({"a.example", "c.example"}).empty());
  EXPECT_EQ(table.to_text(), "2 b.example\n3 c.example\n4 a.example\n");
  EXPECT_EQ(table.at(0), "");
  EXPECT_EQ(table.at(HostTable::kAnyHost), "");
  EXPECT_EQ(table.at(3), "c.example");
}

TEST(HostTable, WhenItIsFullWhatNobodyWantsMakesRoom) {
  std::set<std::string> many;
  for (int i = 100; i < 100 + HostTable::kSize - HostTable::kFirstHost; ++i) many.insert("h" + std::to_string(i) + ".example");
  HostTable table;
  EXPECT_TRUE(table.add(many).empty());
  const HostTable full = table;
  EXPECT_EQ(table.add(many), std::set<std::string>());
  EXPECT_EQ(table, full);
  auto more = many;
  more.insert("one.more.example");
  EXPECT_EQ(table.add(more), std::set<std::string>{"one.more.example"});
  EXPECT_EQ(table, full) << "nobody loses an address that is in use";
  more.erase("h107.example");
  EXPECT_TRUE(table.add(more).empty());
  EXPECT_EQ(table.at(HostTable::kFirstHost + 7), "one.more.example");
  EXPECT_EQ(table.at(HostTable::kFirstHost + 8), full.at(HostTable::kFirstHost + 8));
}

TEST(HostTable, IsReadBackAndNothingElseIs) {
  HostTable table;
  table.add({"a.example", "b.example"});
  EXPECT_EQ(HostTable::parse(table.to_text()).value(), table);
  EXPECT_EQ(HostTable::parse("").value(), HostTable());
  for (const char* text : {"1 a.example", "64 a.example", "2", "2 ", "2  a.example", "2 a.example\n2 b.example", "2 a.example\n3 a.example", "2 127.0.0.1", "2 a_b.example",
                           "x a.example", "-2 a.example", "2 a.example\nhost-record=x", "2 a.example,198.18.0.9", "\n"}) {
    EXPECT_FALSE(HostTable::parse(text)) << text;
  }
}

TEST(HostTable, WhoGetsAnAddress) {
  Policy policy;
  policy.rules = parse_rules("allow db.example:5432\nallow web.example\nallow .all.example:5432\nallow secure.example:443\ndeny no.example:25\nallow 192.0.2.1:25\n"
                             "allow every.example:*\nallow ssh.example:22", "").value();
  policy.services = {parse_service("model.locki.internal", "127.0.0.1:8080").value()};
  EXPECT_EQ(named_hosts(policy), (std::set<std::string>{"db.example", "model.locki.internal", "ssh.example"}));
}

}  // namespace
}  // namespace locki::gate
