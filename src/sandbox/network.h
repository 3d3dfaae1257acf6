// The egress policy of this user: the config's rules, the services, what the user's own tools are configured to use, and the defaults.
#pragma once

#include "gate/policy.h"
#include "gate/upstream.h"
#include "sandbox/config.h"
#include "sys/xdg.h"

namespace locki::sandbox {

// `own` come first: what the user has said with `locki net` (net_rules.h). `agent_hosts` come from the agent table. Blocks for as long as
// npm takes to tell its registry the first time.
Result<gate::Policy> network_policy(const Config& config, const sys::Paths& paths, const sys::Installation& installation, std::vector<gate::Rule> own,
                                    const std::vector<std::string>& agent_hosts);
Result<gate::Upstream> network_upstream(const Config& config);

}  // namespace locki::sandbox
