// 100,000 deterministic mutations of good inputs for each parser of what a sandbox sends.
#include <gtest/gtest.h>

#include "support/mutation.h"
#include "unit/mirror/parser_targets.h"

namespace locki::mirror {
namespace {

using locki::test::hammer;

TEST(Mutation, Frames) {
  const Entry file = Entry::file(5, hash_of("hello"), true);
  const std::string hello = wire::encode(wire::FarHello{wire::kVersion, "p", "", ""});
  hammer({hello + wire::encode(wire::Entries{1, true, true, true, {{"a", file}, {"d", Entry::directory()}, {"d/l", Entry::symlink("../a")}}}),
          hello + wire::encode(wire::Entries{2, false, false, true, {{"a", std::nullopt}}}) + wire::encode(wire::BarrierDone{4, 2}),
          hello + wire::encode(wire::Head{"main", std::string(40, 'c'), 4}) + wire::encode(wire::Pack{1, std::string(40, 'd')}) + wire::encode(wire::Data{1, true, false, "PACK"}),
          wire::encode(wire::Content{1, 5}) + wire::encode(wire::Data{1, false, true, ""}) + wire::encode(wire::Done{1, wire::DoneStatus::kConflict, file, "m"}) +
              wire::encode(wire::Problem{"p"}) + wire::encode(wire::Credit{77}) + wire::encode(wire::ContentGone{1})},
         testing::wire_target);
}

TEST(Mutation, Names) {
  hammer({".vscode/tasks.json\n../x", "a/.g\xe2\x80\x8cit/config\n.git", ".GIT \n./..", "mise.local.toml\nb/c", "VSCODE~1/x\na~1", "sub/.github/instructions/a\n../../x", "git~1\n/etc",
          "\xc4\xb0\xc5\xbf\xe2\x84\xaa\n*?*"},
         testing::names_target);
}

TEST(Mutation, Trees) {
  const std::string id(20, '\x11');
  const std::string long_id(32, '\x22');
  hammer({std::string("100644 a") + '\0' + id + "40000 b" + '\0' + id, std::string("120000 l") + '\0' + id, std::string("40000 d") + '\0' + long_id + "160000 m" + '\0' + long_id}, testing::tree_target);
}

TEST(Mutation, HeldFiles) {
  HeldFile file{".envrc", Entry::file(5, hash_of("hello"), true), "direnv runs it", std::string(40, 'a')};
  HeldFile link{"CLAUDE.md", Entry::symlink("README"), "instructions", ""};
  hammer({json::serialize(to_json(file)), json::serialize(to_json(link))}, testing::held_target);
}

}  // namespace
}  // namespace locki::mirror
