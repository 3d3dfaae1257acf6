// Branches of the agent's that the user asks for (locki fetch): an honest far end first, then what a hostile one can do.
// Refs outside of the sandbox's prefix stay byte-identical, nothing is checked out, and what is refused leaves no object.
#include <gtest/gtest.h>

#include "git/fetched_refs.h"
#include "support/hostile_far_end.h"
#include "unit/git/repo.h"

namespace locki::mirror::test {
namespace {

constexpr const char* kPrefix = "refs/remotes/locki/topic/";

json::object branches(std::vector<std::string> names = {}, bool list = false) {
  json::array wanted;
  for (const std::string& name : names) wanted.emplace_back(name);
  return {{"request", "branches"}, {"list", list}, {"names", wanted}};
}

std::string error_of(const std::optional<json::object>& reply) {
  if (!reply) return "no answer";
  const auto* error = json::object_or_null(*reply, "error");
  return error == nullptr ? "" : json::string_or(*error, "message");
}

// name -> state
std::map<std::string, std::string> states_of(const std::optional<json::object>& reply) {
  std::map<std::string, std::string> states;
  EXPECT_EQ(error_of(reply), "");
  if (!reply) return states;
  const auto* list = json::array_or_null(*reply, "branches");
  if (list == nullptr) return states;
  for (const auto& item : *list) states[json::string_or(item.get_object(), "name")] = json::string_or(item.get_object(), "state");
  return states;
}

std::map<std::string, std::string> left_out_of(const std::optional<json::object>& reply) {
  std::map<std::string, std::string> out;
  const auto* list = reply ? json::array_or_null(*reply, "left_out") : nullptr;
  if (list == nullptr) return out;
  for (const auto& item : *list) out[json::string_or(item.get_object(), "name")] = json::string_or(item.get_object(), "why");
  return out;
}

// ---- an honest far end

class FetchedBranches : public ::testing::Test {
 protected:
  void SetUp() override {
    pair_.start();
    ASSERT_TRUE(pair_.sync());
  }
  std::string branch_inside(const std::string& name, const std::string& content) {
    pair_.git(pair_.inside(), {"checkout", "-q", "-B", name, "topic"});
    write(pair_.inside() / ("of-" + std::to_string(content.size()) + ".txt"), content);
    const std::string tip = pair_.commit(pair_.inside(), "on " + name);
    pair_.git(pair_.inside(), {"checkout", "-q", "topic"});
    EXPECT_TRUE(pair_.sync()) << "its files came and went meanwhile";
    return tip;
  }
  std::optional<json::object> ask(json::object line) { return pair_.reply(pair_.request(std::move(line))); }
  // Every ref that is not beneath the prefix.
  std::string other_refs() const {
    std::string out;
    for (const auto& line : split_lines(pair_.git(pair_.path("repo"), {"for-each-ref"})))
      if (line.find(kPrefix) == std::string::npos) out += line + "\n";
    return out + pair_.git(pair_.path("repo"), {"reflog", "topic"}) + pair_.git(pair_.host(), {"status", "--porcelain"}) + pair_.git(pair_.host(), {"symbolic-ref", "HEAD"});
  }
  std::string here(const std::string& name) const { return pair_.git(pair_.path("repo"), {"for-each-ref", "--format=%(objectname)", kPrefix + name}); }

  MirrorPair pair_;
};

TEST_F(FetchedBranches, ComeWhenAskedForAndMoveNothingElse) {
  const std::string before = other_refs();
  const auto one = branch_inside("one", "1"), two = branch_inside("deep/two", "22");
  ASSERT_TRUE(pair_.sync());
  EXPECT_EQ(here(""), "") << "nothing comes unasked";
  EXPECT_EQ(states_of(ask(branches({}, true))), (std::map<std::string, std::string>{{"deep/two", "new"}, {"one", "new"}}));
  EXPECT_EQ(here(""), "") << "a list brings nothing";
  EXPECT_EQ(states_of(ask(branches({"one"}))), (std::map<std::string, std::string>{{"one", "new"}}));
  EXPECT_EQ(here("one"), one);
  EXPECT_EQ(here("deep/two"), "");
  EXPECT_EQ(states_of(ask(branches())), (std::map<std::string, std::string>{{"deep/two", "new"}, {"one", "same"}}));
  EXPECT_EQ(here("deep/two"), two);
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"show", "locki/topic/deep/two:of-2.txt"}), "22");
  EXPECT_EQ(other_refs(), before);
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"fsck", "--strict", "--no-dangling", "--no-progress"}), "");
  EXPECT_EQ(states_of(ask(branches())), (std::map<std::string, std::string>{{"deep/two", "same"}, {"one", "same"}}));
}

TEST_F(FetchedBranches, RewrittenOnesAreReplacedAndTheReflogHasTheOld) {
  const auto first = branch_inside("one", "1");
  ask(branches());
  const auto second = branch_inside("one", "another");
  const std::string before = other_refs();
  EXPECT_EQ(states_of(ask(branches())), (std::map<std::string, std::string>{{"one", "moved"}}));
  EXPECT_EQ(here("one"), second);
  EXPECT_EQ(pair_.git(pair_.path("repo"), {"rev-parse", std::string(kPrefix) + "one@{1}"}), first);
  EXPECT_EQ(other_refs(), before);
}

TEST_F(FetchedBranches, WhatIsNotThereOrMayNotComeIsSaid) {
  branch_inside("one", "1");
  pair_.git(pair_.inside(), {"branch", "gr\xc3\xbcn"});
  pair_.git(pair_.inside(), {"branch", "$(reboot)"});
  EXPECT_NE(error_of(ask(branches({"none"}))).find("no branch 'none'"), std::string::npos);
  EXPECT_NE(error_of(ask(branches({"$(reboot)"}))).find("stays inside"), std::string::npos);
  EXPECT_NE(error_of(ask(branches({"topic"}))).find("no branch"), std::string::npos);
  const auto all = ask(branches());
  EXPECT_EQ(states_of(all), (std::map<std::string, std::string>{{"one", "new"}}));
  EXPECT_EQ(left_out_of(all).size(), 2u);
  // One in the place of another's directory.
  pair_.git(pair_.inside(), {"branch", "-D", "one"});
  branch_inside("one/more", "333");
  const auto blocked = left_out_of(ask(branches()));
  ASSERT_TRUE(blocked.contains("one/more"));
  EXPECT_NE(blocked.at("one/more").find("update-ref -d"), std::string::npos);
  pair_.git(pair_.path("repo"), {"update-ref", "-d", std::string(kPrefix) + "one"});
  EXPECT_EQ(states_of(ask(branches())), (std::map<std::string, std::string>{{"one/more", "new"}}));
}

TEST_F(FetchedBranches, WhatIsNoLongerInsideIsSaid) {
  const auto one = branch_inside("one", "1");
  branch_inside("two", "22");
  ask(branches());
  pair_.git(pair_.inside(), {"branch", "-D", "one"});
  const std::string before = other_refs();
  for (const bool list : {true, false}) {
    const auto reply = ask(branches({}, list));
    EXPECT_EQ(error_of(reply), "");
    const auto* gone = reply ? json::array_or_null(*reply, "gone") : nullptr;
    ASSERT_TRUE(gone != nullptr && gone->size() == 1);
    EXPECT_EQ(json::string_or(gone->front().as_object(), "name"), "one");
    EXPECT_EQ(json::string_or(gone->front().as_object(), "was"), one);
    EXPECT_EQ(here("one"), one) << "neither a list nor a fetch deletes anything";
  }
  EXPECT_EQ(other_refs(), before);
}

TEST_F(FetchedBranches, StashesAreCounted) {
  const auto stashes = [&] { return json::int_or(*ask(branches({}, true)), "stashes", -1); };
  EXPECT_EQ(stashes(), 0);
  for (const char* text : {"first", "second"}) {
    write(pair_.inside() / "mine", text);
    pair_.git(pair_.inside(), {"stash", "-q", "-u"});
  }
  EXPECT_EQ(stashes(), 2);
}

TEST_F(FetchedBranches, ARemoteOfThatNameStopsIt) {
  branch_inside("one", "1");
  pair_.git(pair_.path("repo"), {"config", "remote.locki.url", "/nowhere"});
  EXPECT_NE(error_of(ask(branches())).find("remote called locki"), std::string::npos);
  EXPECT_EQ(states_of(ask(branches({}, true))), (std::map<std::string, std::string>{{"one", "new"}})) << "to look is no harm";
  EXPECT_EQ(here(""), "");
}

// A symbolic ref beneath the prefix would let the agent's branch stand for the user's.
TEST_F(FetchedBranches, SymbolicRefsAreNotFollowed) {
  branch_inside("one", "1");
  pair_.git(pair_.path("repo"), {"symbolic-ref", std::string(kPrefix) + "one", "refs/heads/main"});
  const std::string before = other_refs();
  EXPECT_NE(error_of(ask(branches())).find("symbolic"), std::string::npos);
  EXPECT_EQ(other_refs(), before);
}

TEST_F(FetchedBranches, HooksDoNotRun) {
  branch_inside("one", "1");
  const auto hook = pair_.path("repo/.git/hooks/reference-transaction");
  write(hook, "#!/bin/sh\ntouch '" + pair_.path("canary").string() + "'\n");
  fs::permissions(hook, fs::perms::owner_all);
  EXPECT_EQ(states_of(ask(branches())), (std::map<std::string, std::string>{{"one", "new"}}));
  EXPECT_FALSE(fs::exists(pair_.path("canary")));
}

// ---- a hostile one

class HostileBranches : public HostileFarEnd {
 protected:
  void SetUp() override {
    HostileFarEnd::SetUp();
    greet();
    list({{"mine", Entry::file(5, hash_of("human"))}});
    agent_.git({"fetch", "-q", pair_.path("repo").string(), "topic"});
    base_ = agent_.git({"rev-parse", "FETCH_HEAD"});
    send(wire::Head{"topic", base_, 1});
  }
  // The question of the worker's to a request for all branches.
  wire::Id asked() {
    request_ = pair_.request(branches());
    const auto question = wait_for<wire::ListBranches>();
    EXPECT_TRUE(question);
    return question ? question->id : 0;
  }
  std::optional<wire::GitFetch> offer(std::vector<wire::BranchTip> tips) {
    send(wire::Branches{asked(), std::move(tips), 0, 0});
    return wait_for<wire::GitFetch>();
  }
  std::string pack_of(const std::string& tip) const { return *agent_.try_git({"pack-objects", "--revs", "--stdout", "-q", "--thin"}, tip + "\n^" + base_ + "\n"); }
  void expect_refused(std::string_view reason) {
    const std::string error = error_of(pair_.reply(request_));
    EXPECT_FALSE(error.empty());
    EXPECT_NE(error.find(reason), std::string::npos) << error;
    for (const char c : error) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << "what is told is printable";
    expect_untouched();
  }

  git::test::TestRepo agent_;
  std::string base_;
  std::int64_t request_ = 0;
};

TEST_F(HostileBranches, ListsThatNobodyAskedFor) {
  send(wire::Branches{77, {}, 0, 0});
  expect_violation("nobody asked");
}

TEST_F(HostileBranches, ASecondAnswer) {
  const auto id = asked();
  send(wire::Branches{id, {}, 0, 0});
  send(wire::Branches{id, {}, 0, 0});
  expect_violation("nobody asked");
}

TEST_F(HostileBranches, MoreThanMayBeListed) {
  const auto id = asked();
  std::vector<wire::BranchTip> many;
  for (std::size_t i = 0; i <= wire::kMaxBranches; ++i) many.push_back({"b" + std::to_string(i), base_});
  send(wire::Branches{id, many, 0, 0});
  expect_violation("more branches");
}

TEST_F(HostileBranches, ANameTwice) {
  const auto id = asked();
  send(wire::Branches{id, {{"one", base_}, {"one", std::string(40, 'a')}}, 0, 0});
  expect_violation("twice");
}

TEST_F(HostileBranches, ATipThatIsNone) {
  const auto id = asked();
  send(wire::Branches{id, {{"one", "--upload-pack=touch"}}, 0, 0});
  expect_violation("object id");
}

TEST_F(HostileBranches, NamesThatAreMoreThanNames) {
  const std::vector<std::string> names{
      "../../heads/main", "..", "a/../b", "/etc", "a//b", "a/", ".hidden", "a/.git", ".git", "-x", "a/-x", "HEAD", "a/head", "a.lock", "a/b.LOCK/c", "a.", "a./b", "x~1", "git~1",
      "a:b", "a?b", "a*b", "a[b", "a\\b", "a b", "a\nb", "a\tb", "\x1b]0;owned\x07", "\xc2\x9b" "31m", "\xe2\x80\xae" "cod", "gr\xc3\xbcn", "\xef\xbc\xa1", "\xff\xfe", "$(id)", "`id`",
      "a;b", "a|b", "a&b", "a'b", "a\"b", "a<b", "a>b", "a!b", "a$b", "a{b}", "a@{1}", "@", "a%b", "topic", std::string(201, 'n'), std::string("a\0b", 3), std::string(40, 'a'), [] {
        std::string deep = "d";
        for (int i = 0; i < 40; ++i) deep += "/d";
        return deep;
      }()};
  std::vector<wire::BranchTip> tips;
  for (const std::string& name : names) tips.push_back({name, base_});
  send(wire::Branches{asked(), tips, 0, 0});
  const auto reply = pair_.reply(request_);
  EXPECT_EQ(states_of(reply).size(), 0u);
  const auto left_out = left_out_of(reply);
  EXPECT_EQ(left_out.size(), names.size());
  for (const auto& [name, why] : left_out) {
    for (const char c : name + why) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << "what is told is printable";
  }
  expect_untouched();
}

// One of each kind stands, whatever the host's file system takes for the same.
TEST_F(HostileBranches, NamesThatAreOneToAFileSystem) {
  const auto tip = agent_.commit(agent_.git({"rev-parse", base_ + "^{tree}"}), base_);
  const auto fetch = offer({{"Main", tip}, {"main", tip}, {"x", tip}, {"X/y", tip}, {"p/q", tip}, {"P", tip}});
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->wants, std::vector<std::string>{tip});
  send(wire::Pack{fetch->id, tip});
  send(wire::Data{fetch->id, true, false, pack_of(tip)});
  const auto reply = pair_.reply(request_);
  EXPECT_EQ(states_of(reply), (std::map<std::string, std::string>{{"Main", "new"}, {"P", "new"}, {"X/y", "new"}}));
  EXPECT_EQ(left_out_of(reply).size(), 3u);
}

// It says that there are more than it lists: one of them may be what seems to be gone.
TEST_F(HostileBranches, NothingIsGoneByHalfAList) {
  pair_.git(pair_.path("repo"), {"update-ref", std::string(kPrefix) + "one", base_});
  send(wire::Branches{asked(), {}, 1, 0});
  const auto reply = pair_.reply(request_);
  EXPECT_EQ(error_of(reply), "");
  const auto* gone = reply ? json::array_or_null(*reply, "gone") : nullptr;
  EXPECT_TRUE(gone != nullptr && gone->empty());
}

TEST_F(HostileBranches, APackForAnotherCommit) {
  const auto fetch = offer({{"one", std::string(40, 'a')}});
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, std::string(40, 'b')});
  expect_violation("another commit");
}

TEST_F(HostileBranches, APackOfRubbish) {
  const auto fetch = offer({{"one", std::string(40, 'a')}});
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, fetch->wants.front()});
  send(wire::Data{fetch->id, true, false, "PACK\0\0\0\2 rubbish"});
  expect_refused("git refuses");
}

// The pack is sound, and the commit that was named is not in it.
TEST_F(HostileBranches, APackWithoutTheTip) {
  const auto tip = agent_.commit(agent_.git({"rev-parse", base_ + "^{tree}"}), base_);
  const auto fetch = offer({{"one", std::string(40, 'a')}});
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, fetch->wants.front()});
  send(wire::Data{fetch->id, true, false, pack_of(tip)});
  expect_refused("not a commit");
}

TEST_F(HostileBranches, ABlobForATip) {
  const auto blob = pair_.git(pair_.path("repo"), {"rev-parse", "topic:README"});
  const auto fetch = offer({{"one", blob}});
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, blob});
  send(wire::Data{fetch->id, true, false, ""});
  expect_refused("not a commit");
}

// One bad branch among good ones: none comes.
TEST_F(HostileBranches, ATreeWithDotGit) {
  const auto hooks = agent_.tree({{"100755", "pre-commit", agent_.blob("#!/bin/sh\ntouch canary\n")}});
  const auto bad = agent_.commit(agent_.tree({{"40000", ".GIT", hooks}}), base_);
  const auto good = agent_.commit(agent_.git({"rev-parse", base_ + "^{tree}"}), base_);
  const auto fetch = offer({{"bad", bad}, {"good", good}});
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->wants.size(), 2u);
  send(wire::Pack{fetch->id, fetch->wants.front()});
  send(wire::Data{fetch->id, true, false, *agent_.try_git({"pack-objects", "--revs", "--stdout", "-q", "--thin"}, bad + "\n" + good + "\n^" + base_ + "\n")});
  expect_refused("");
}

TEST_F(HostileBranches, MissingObjects) {
  const auto tip = agent_.commit(agent_.tree({{"100644", "f", agent_.blob("content")}}), base_);
  const auto fetch = offer({{"one", tip}});
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, tip});
  send(wire::Data{fetch->id, true, false, *agent_.try_git({"pack-objects", "--stdout", "-q"}, tip + "\n")});
  expect_refused("");
}

TEST_F(HostileBranches, GivesUpHalfWay) {
  const auto fetch = offer({{"one", std::string(40, 'a')}});
  ASSERT_TRUE(fetch);
  send(wire::Pack{fetch->id, fetch->wants.front()});
  send(wire::Data{fetch->id, false, false, "PACK"});
  send(wire::Data{fetch->id, true, true, ""});
  expect_refused("could not send");
  // It is over: another one may begin.
  const auto id = asked();
  send(wire::Done{id, wire::DoneStatus::kFailed, std::nullopt, "\x1b[2J no"});
  expect_refused("could not answer");
}

TEST_F(HostileBranches, OneRequestAtATime) {
  (void)asked();
  const auto second = pair_.request(branches());
  EXPECT_NE(error_of(pair_.reply(second)).find("already"), std::string::npos);
  expect_untouched();
}

}  // namespace
}  // namespace locki::mirror::test
