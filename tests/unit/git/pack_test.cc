#include "git/pack.h"

#include "git/inspect.h"
#include "git/unfold.h"
#include "unit/git/repo.h"

namespace locki::git::test {
namespace {

// Host and sandbox: two repositories with the same first commit.
class PackTest : public ::testing::Test {
 protected:
  PackTest() {
    base_ = host_.git({"rev-parse", "HEAD"});
    sandbox_.git({"fetch", "-q", host_.path().string(), "main"});
    sandbox_.git({"checkout", "-q", "-B", "main", base_});
  }

  // A pack as a hostile endpoint would make it: no check on the way.
  std::string pack(const std::string& tip, const std::string& without, bool thin = true) const {
    std::vector<std::string> args{"pack-objects", "--revs", "--stdout", "-q"};
    if (thin) args.emplace_back("--thin");
    auto out = sandbox_.try_git(std::move(args), tip + "\n" + (without.empty() ? "" : "^" + without + "\n"));
    EXPECT_TRUE(out.has_value()) << (out ? "" : out.error().describe());
    return out.value_or("");
  }
  // Exactly these objects.
  std::string pack_of(const std::vector<std::string>& oids) const {
    std::string list;
    for (const auto& oid : oids) list += oid + "\n";
    return *sandbox_.try_git({"pack-objects", "--stdout", "-q"}, list);
  }
  Result<> accept(const std::string& bytes, const std::string& tip, const std::string& old, AcceptLimits limits = {}) {
    TRY_ASSIGN(auto quarantine, Quarantine::begin(host_.repository(), limits));
    TRY(quarantine.write(as_bytes(bytes)));
    TRY(quarantine.check(tip, old));
    TRY(quarantine.migrate());
    return move_ref(host_.repository(), "refs/heads/main", tip, old, "locki: test");
  }
  void expect_refused(const std::string& tip, const std::string& reason, const std::string& bytes = "",
                      AcceptLimits limits = {}) {
    const auto before = host_.fingerprint();
    const auto result = accept(bytes.empty() ? pack(tip, base_) : bytes, tip, base_, limits);
    ASSERT_FALSE(result.has_value()) << "accepted: " << reason;
    EXPECT_NE(result.error().describe().find(reason), std::string::npos) << result.error().describe();
    EXPECT_EQ(host_.fingerprint(), before);
    EXPECT_FALSE(host_.try_git({"cat-file", "-e", tip}).has_value());
  }

  TestRepo host_, sandbox_;
  std::string base_;
};

TEST_F(PackTest, GoodCommitsAreTaken) {
  sandbox_.write("src/new.c", "int x;\n");
  sandbox_.write("README", "hello\nmore\n");
  fs::create_symlink("../README", sandbox_.path() / "src/link");
  const auto tip = sandbox_.commit_all("work");
  const auto result = accept(pack(tip, base_), tip, base_);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_EQ(host_.git({"rev-parse", "refs/heads/main"}), tip);
  EXPECT_EQ(host_.git({"cat-file", "blob", "main:src/new.c"}), "int x;");
  EXPECT_EQ(host_.git({"fsck", "--strict", "--no-dangling"}), "");
  EXPECT_NE(host_.git({"reflog", "main"}).find("locki: test"), std::string::npos);
  // Nothing of the quarantine stays behind.
  for (const auto& entry : fs::directory_iterator(host_.path() / ".git/objects")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("tmp_")) << entry.path();
  }
}

TEST_F(PackTest, ManyObjectsStayOnePack) {
  for (int i = 0; i < 300; ++i)
    sandbox_.write("d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::to_string(i));
  const auto tip = sandbox_.commit_all("many");
  const auto result = accept(pack(tip, base_), tip, base_);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_NE(host_.git({"count-objects", "-v"}).find("packs: 1"), std::string::npos);
  EXPECT_EQ(host_.git({"fsck", "--strict", "--no-dangling"}), "");
}

TEST_F(PackTest, RewrittenHistoryIsStillChecked) {
  const auto other = sandbox_.commit(sandbox_.tree({{"100644", "a", sandbox_.blob("a")}}), "");
  const auto result = accept(pack(other, ""), other, base_);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_EQ(host_.git({"rev-parse", "main"}), other);
}

TEST_F(PackTest, HooksDoNotRun) {
  const auto mark = host_.outside("ran").string();
  for (const char* hook : {"reference-transaction", "update", "post-receive", "pre-receive", "post-update"}) {
    const auto file = host_.path() / ".git/hooks" / hook;
    std::ofstream(file) << "#!/bin/sh\ntouch " << mark << "\n";
    fs::permissions(file, fs::perms::all);
  }
  const auto tip = sandbox_.commit_all("work");
  ASSERT_TRUE(accept(pack(tip, base_), tip, base_).has_value());
  EXPECT_FALSE(fs::exists(mark));
}

TEST_F(PackTest, TheRefMovesOnlyFromItsOldValue) {
  const auto tip = sandbox_.commit_all("work");
  const auto mine = host_.commit_all("the human was faster");
  const auto before = host_.git({"for-each-ref"});
  const auto result = accept(pack(tip, base_), tip, base_);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(host_.git({"for-each-ref"}), before);
  EXPECT_EQ(host_.git({"rev-parse", "main"}), mine);
}

TEST_F(PackTest, SymbolicRefsAreNotFollowed) {
  host_.git({"symbolic-ref", "refs/heads/alias", "refs/heads/main"});
  const auto result = move_ref(host_.repository(), "refs/heads/alias", base_, base_, "x");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kConflict);
}

struct HostileName {
  const char* name;
  const char* reason;
};
class HostileNames : public PackTest, public ::testing::WithParamInterface<HostileName> {};

TEST_P(HostileNames, Refused) {
  const auto blob = sandbox_.blob("[core]\n\tfsmonitor = touch /tmp/owned\n");
  const auto evil = sandbox_.tree({{"100644", "config", blob}});
  // As a directory, at the top and deep inside.
  const auto top = sandbox_.commit(sandbox_.tree({{"40000", GetParam().name, evil}}), base_);
  expect_refused(top, GetParam().reason);
  const auto deep =
      sandbox_.commit(sandbox_.tree({{"40000", "a", sandbox_.tree({{"40000", GetParam().name, evil}})}}), base_);
  expect_refused(deep, GetParam().reason);
  // As a file, in a commit that is not the tip.
  const auto below = sandbox_.commit(sandbox_.tree({{"100644", GetParam().name, blob}}), base_);
  const auto innocent = sandbox_.commit(sandbox_.git({"rev-parse", base_ + "^{tree}"}), below);
  expect_refused(innocent, GetParam().reason);
}

INSTANTIATE_TEST_SUITE_P(Pack, HostileNames,
                         ::testing::Values(HostileName{".git", "git refuses"}, HostileName{"..", "git refuses"},
                                           HostileName{".", "git refuses"}, HostileName{".GIT", "git refuses"},
                                           HostileName{"git~1", "git refuses"}, HostileName{".git ", "git refuses"},
                                           HostileName{".g\xe2\x80\x8cit", "git refuses"},
                                           HostileName{".git::$INDEX_ALLOCATION", ""}, HostileName{"git~2", ".git"},
                                           HostileName{"a\\b", "backslash"}, HostileName{"a\x1b[31m", "control"},
                                           HostileName{"a\xff", "UTF-8"}, HostileName{".locki-tmp-1", "reserved"}));

TEST_F(PackTest, Gitlinks) {
  const auto link = sandbox_.commit(sandbox_.tree({{"160000", "module", std::string(40, '1')}}), base_);
  expect_refused(link, "submodule");
}

TEST_F(PackTest, GitlinksOfTheHumanStay) {
  const auto with = host_.commit(host_.tree({{"160000", "module", std::string(40, '1')}}), base_);
  host_.git({"update-ref", "refs/heads/main", with});
  sandbox_.git({"fetch", "-q", host_.path().string(), "main"});
  const auto tip = sandbox_.commit(
      sandbox_.tree({{"100644", "a", sandbox_.blob("a")}, {"160000", "module", std::string(40, '1')}}), with);
  const auto result = accept(pack(tip, with), tip, with);
  EXPECT_TRUE(result.has_value()) << result.error().describe();
  const auto moved = sandbox_.commit(sandbox_.tree({{"160000", "module", std::string(40, '2')}}), tip);
  EXPECT_FALSE(accept(pack(moved, tip), moved, tip).has_value());
}

TEST_F(PackTest, ModesAndSymlinks) {
  const auto blob = sandbox_.blob("x");
  expect_refused(sandbox_.commit(sandbox_.tree({{"104755", "suid", blob}}), base_), "badFilemode");
  expect_refused(sandbox_.commit(sandbox_.tree({{"100664", "group", blob}}), base_), "badFilemode");
  const auto passwd = sandbox_.blob("/etc/passwd");
  const auto up = sandbox_.blob("../../x");
  expect_refused(sandbox_.commit(sandbox_.tree({{"120000", "l", passwd}}), base_), "absolute");
  expect_refused(sandbox_.commit(sandbox_.tree({{"40000", "d", sandbox_.tree({{"120000", "l", up}})}}), base_),
                 "outside");
  expect_refused(sandbox_.commit(sandbox_.tree({{"120000", "l", sandbox_.blob(".git/config")}}), base_), ".git");
  expect_refused(sandbox_.commit(sandbox_.tree({{"120000", "l", sandbox_.blob(std::string(5000, 'a'))}}), base_),
                 "too long");
  // The same link is fine where it is deep enough, and not once it moves up.
  const auto deep =
      sandbox_.tree({{"40000", "a", sandbox_.tree({{"40000", "b", sandbox_.tree({{"120000", "l", up}})}})}});
  const auto good = sandbox_.commit(deep, base_);
  expect_refused(sandbox_.commit(sandbox_.tree({{"40000", "b", sandbox_.tree({{"120000", "l", up}})}}), good),
                 "outside");
  EXPECT_TRUE(accept(pack(good, base_), good, base_).has_value());
}

TEST_F(PackTest, MissingObjects) {
  const auto blob = sandbox_.blob("content");
  const auto tree = sandbox_.tree({{"100644", "f", blob}});
  const auto tip = sandbox_.commit(tree, base_);
  expect_refused(tip, "", pack_of({tip, tree}));   // no blob
  expect_refused(tip, "", pack_of({tip}));         // no tree
  expect_refused(tip, "", pack_of({blob, tree}));  // no commit
  const auto second = sandbox_.commit(tree, tip);
  expect_refused(second, "", pack_of({second, tree, blob}));  // no parent
}

TEST_F(PackTest, TreesThatAreNone) {
  const auto blob = sandbox_.blob("x");
  const auto nameless = sandbox_.tree({{"100644", "", blob}});
  const auto twice = sandbox_.tree({{"100644", "a", blob}, {"100755", "a", blob}});
  const auto unsorted = sandbox_.tree({{"100644", "b", blob}, {"100644", "a", blob}});
  for (const auto& tree : {nameless, twice, unsorted}) {
    const auto tip = sandbox_.commit(tree, base_);
    expect_refused(tip, "git refuses", pack_of({tip, tree, blob}));
  }
}

TEST_F(PackTest, NotACommit) {
  const auto blob = sandbox_.blob("content");
  expect_refused(blob, "not a commit", pack_of({blob}));
}

TEST_F(PackTest, Rubbish) {
  const auto tip = sandbox_.commit_all("work");
  std::string bytes = pack(tip, base_);
  expect_refused(tip, "git refuses", "PACK rubbish");
  expect_refused(tip, "git refuses", bytes.substr(0, bytes.size() / 2));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  expect_refused(tip, "git refuses", bytes);
}

TEST_F(PackTest, Limits) {
  sandbox_.write("big", std::string(100'000, 'x'));
  const auto tip = sandbox_.commit_all("big");
  expect_refused(tip, "a blob of", "", {.max_file = 50'000});
  expect_refused(tip, "larger than", "", {.max_pack = 100});
  expect_refused(tip, "new objects", "", {.max_objects = 1});
  for (int i = 0; i < 5; ++i) sandbox_.git({"commit", "-q", "--allow-empty", "-m", "c"});
  expect_refused(sandbox_.git({"rev-parse", "HEAD"}), "new commits", "", {.max_commits = 3});
}

TEST_F(PackTest, AGitBombIsNotUnfolded) {
  auto item = sandbox_.tree({{"100644", "f", sandbox_.blob("boom")}});
  for (int depth = 0; depth < 9; ++depth) {
    std::vector<TestRepo::Item> items;
    for (char name = 'a'; name <= 'j'; ++name) items.push_back({"40000", std::string(1, name), item});
    item = sandbox_.tree(items);
  }
  expect_refused(sandbox_.commit(item, base_), "more paths than a worktree may have");
}

TEST_F(PackTest, DeepTrees) {
  auto item = sandbox_.tree({{"100644", "f", sandbox_.blob("x")}});
  for (int depth = 0; depth < 70; ++depth) item = sandbox_.tree({{"40000", "d", item}});
  expect_refused(sandbox_.commit(item, base_), "deeper");
}

TEST_F(PackTest, ControlCharactersInMessages) {
  const auto tree = sandbox_.git({"rev-parse", base_ + "^{tree}"});
  expect_refused(sandbox_.commit(tree, base_, "title \x1b]0;owned\x07"), "control characters");
}

TEST_F(PackTest, OutgoingPackHoldsExactlyWhatIsAskedFor) {
  host_.write("secret-branch-file", "s");
  host_.git({"checkout", "-q", "-b", "secret"});
  const auto secret = host_.commit_all("secret");
  host_.git({"checkout", "-q", "main"});
  host_.write("b", "b");
  const auto tip = host_.commit_all("second");
  const auto repository = host_.repository();
  const auto revisions = pack_revisions(repository, tip, {base_, std::string(40, '1'), "not an id"});
  EXPECT_EQ(*revisions, tip + "\n^" + base_ + "\n");
  auto pipe = sys::make_pipe();
  auto spec = pack_command(repository, -1);
  const auto bytes = sys::run_ok(spec, *revisions);
  ASSERT_TRUE(bytes.has_value());
  sandbox_.git({"index-pack", "--stdin", "--fix-thin"}, *bytes);
  EXPECT_EQ(sandbox_.git({"cat-file", "blob", tip + ":b"}), "b");
  EXPECT_FALSE(sandbox_.try_git({"cat-file", "-e", secret}).has_value());
}

}  // namespace
}  // namespace locki::git::test
