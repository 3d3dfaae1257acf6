// The hosts that a repository's committed locki.toml would like its sandboxes to reach. A wish opens nothing: it takes effect when the user has granted
// it (NetRules::grant), behind every rule that the user has given. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gate/policy.h"

namespace locki::sandbox {

inline constexpr std::size_t kMostWishes = 64;

// Names only, as in `locki net allow`: no addresses, no services, no ":*", no whole top-level domain, no name without a dot. Each once, at most kMostWishes. kUsage.
Result<std::vector<gate::Rule>> parse_net_wishes(const std::vector<std::string>& targets);

enum class WishState {
  kOpen,     // neither granted nor allowed
  kGranted,  // takes effect
  kAllowed,  // other rules allow it anyway
  kDenied    // the user has denied it, granted or not
};
std::string_view to_string(WishState state);  // "open", "granted", …
// What becomes of a wish under a policy that holds what was granted already; its mode does not count.
WishState state_of(const gate::Rule& wish, gate::Policy policy);

// The wish without its "allow ", as the repository would write it.
std::string target_of(const gate::Rule& wish);

// What rules that were granted say in `locki net policy`.
inline constexpr std::string_view kGrantedSource = "granted wish of the repository";

}  // namespace locki::sandbox
