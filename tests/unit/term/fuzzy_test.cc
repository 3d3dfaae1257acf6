#include "term/fuzzy.h"

#include <gtest/gtest.h>

namespace locki::term {
namespace {

void prefer(std::string_view query, std::string_view better, std::string_view worse) {
  const auto a = fuzzy_score(query, better), b = fuzzy_score(query, worse);
  ASSERT_TRUE(a) << query << " should match " << better;
  ASSERT_TRUE(b) << query << " should match " << worse;
  EXPECT_GT(*a, *b) << query << ": " << better << " over " << worse;
}

TEST(Fuzzy, Prefers) {
  prefer("fix", "fix", "fix-login");
  prefer("fix", "fix-login", "prefix");
  prefer("fix", "bug-fix", "prefix-tree");
  prefer("fl", "fix-login", "full-text-logs-fl");
  prefer("fl", "fix-login", "refill");
  prefer("login", "fix-login", "lock-origin");
  prefer("login", "login-page", "fix-login");
  prefer("my", "my-feature", "dummy");
  prefer("mf", "my-feature", "manifold");
  prefer("feat", "feature", "my-feature");
  prefer("feat", "my-feature", "f-e-a-t");
  prefer("ab", "xab", "xaxb");
  prefer("ab", "a-b", "acb");
  prefer("ab", "ab-long-name", "a-b-long-name");
  prefer("api", "api", "a-p-i");
  prefer("api", "new-api", "new-rapid");
  prefer("api", "api-v2", "api-version-2");
  prefer("v2", "api-v2", "v-api-2");
  prefer("db", "my/db", "mydb");
  prefer("db", "user_db", "goodbye");
  prefer("t1", "t1", "t10");
  prefer("t1", "t1", "test-1");
  prefer("rel", "release", "barrel");
  prefer("gc", "gitCommit", "magic");
  prefer("co", "copy", "disco");
  prefer("sync", "sync-all", "asynchronous");
  prefer("ci", "ci", "city");
  prefer("ci", "fix-ci", "facile");
  prefer("x", "x", "ax");
  prefer("doc", "docs", "docker-compose");
}

TEST(Fuzzy, MatchesInOrderAndSmartCase) {
  EXPECT_FALSE(fuzzy_score("ba", "ab"));
  EXPECT_FALSE(fuzzy_score("abc", "ab"));
  EXPECT_TRUE(fuzzy_score("ab", "AxB"));
  EXPECT_FALSE(fuzzy_score("AB", "axb"));
  EXPECT_EQ(fuzzy_score("", "anything"), 0);
}

TEST(Fuzzy, RankKeepsTheOrderOfEquals) {
  EXPECT_EQ(fuzzy_rank("", {"b", "a", "c"}), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(fuzzy_rank("fix", {"prefix", "none", "fix-a"}), (std::vector<std::size_t>{2, 0}));
}

TEST(Fuzzy, NearestWord) {
  const std::vector<std::string> words{"list", "new", "remove", "start", "stop", "status"};
  EXPECT_EQ(nearest("lsit", words), "list");
  EXPECT_EQ(nearest("remvoe", words), "remove");
  EXPECT_EQ(nearest("stpo", words), "stop");
  EXPECT_EQ(nearest("frobnicate", words), "");
  EXPECT_EQ(edit_distance("abcd", "acbd"), 1U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
}

}  // namespace
}  // namespace locki::term
