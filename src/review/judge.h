// What the return gate says about one changed path. Pure; the bytes it looks at are hostile and bounded by whoever read them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "review/hold_rules.h"
#include "review/links.h"
#include "review/return_rules.h"

namespace locki::review {

inline constexpr std::uint32_t kModeFile = 0100644, kModeProgram = 0100755, kModeSymlink = 0120000, kModeSubmodule = 0160000;

// One side of a change. Modes as git has them; a symlink's content is its target.
struct Version {
  std::uint32_t mode = 0;  // 0: not there
  std::string content;
  bool unread = false;  // it is too large to be looked at
};

struct Change {
  std::string path;
  Version before, after;
};

struct Finding {
  std::string path;  // untrusted, as are the details
  std::string rule;  // "held", "unread", or the name of a rule in return.rules
  Severity severity = Severity::kLow;
  std::string why;     // printable
  std::string detail;  // what exactly: names, a line; may be empty
  bool operator==(const Finding&) const = default;
};

struct Rules {
  HoldRules held;
  ReturnRules ret;
};

// What is around the path.
struct Surroundings {
  Links links;                                                   // the symlinks that are there
  std::function<bool(std::string_view directory)> host_has_head;  // repository_parts.h
};

std::vector<Finding> judge(const Change& change, const Rules& rules, const Surroundings& around);

}  // namespace locki::review
