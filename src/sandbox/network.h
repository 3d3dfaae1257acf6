// The egress policy of this user: the config's rules, the services, what the user's own tools are configured to use, and the defaults.
#pragma once

#include "gate/policy.h"
#include "gate/upstream.h"
#include "sandbox/config.h"
#include "sandbox/net_rules.h"
#include "sys/xdg.h"

namespace locki::sandbox {

// `own` is what the user has said with `locki net`, which comes first, and granted, which comes behind the config's (net_rules.h). `agent_hosts` come from the agent table. Blocks for as long as
// npm takes to tell its registry the first time.
Result<gate::Policy> network_policy(const Config& config, const sys::Paths& paths, const sys::Installation& installation, UserRules own,
                                    const std::vector<std::string>& agent_hosts);
Result<gate::Upstream> network_upstream(const Config& config);

}  // namespace locki::sandbox
