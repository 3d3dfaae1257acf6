#include "mirror/git_link.h"

#include <gtest/gtest.h>

namespace locki::mirror {
namespace {

TEST(Tips, Table) {
  struct Case {
    const char *base, *host, *sandbox, *refused;
    TipStep step;
    const char* clashed = "";
  };
  const Case cases[] = {
      {"a", "a", "a", "", TipStep::kNothing}, {"", "a", "a", "", TipStep::kAgree},
      {"a", "b", "b", "", TipStep::kAgree},   {"", "a", "", "", TipStep::kReplace},  // a new sandbox
      {"a", "a", "", "", TipStep::kReplace},                                         // its branch was deleted
      {"a", "b", "a", "", TipStep::kSend},                                           // the human committed
      {"a", "a", "b", "", TipStep::kFetch},                                          // the agent did
      {"a", "b", "c", "", TipStep::kSend},                                           // both: the human's goes beneath the agent's
      {"a", "b", "c", "", TipStep::kFetch, "c"},                                     // which did not work: it comes out, to be kept
      {"a", "b", "d", "", TipStep::kSend, "c"},                                      // the agent has made it good
      {"", "a", "b", "", TipStep::kFetch},    {"a", "a", "b", "b", TipStep::kNothing},  // refused: stays inside
      {"a", "c", "b", "b", TipStep::kReplace},                                          // until the human commits
      {"a", "a", "c", "b", TipStep::kFetch},                                            // or the agent makes it good
      {"a", "", "b", "", TipStep::kHostGone},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(decide_tips({c.base, c.host, c.sandbox, c.refused, c.clashed}), c.step)
        << c.base << " " << c.host << " " << c.sandbox << " " << c.refused;
  }
}

}  // namespace
}  // namespace locki::mirror
