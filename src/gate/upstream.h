// The proxy that the host itself has to use, if any: the gate then chains through it. Names are checked as always;
// addresses cannot be, because the upstream proxy resolves them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gate/host.h"

namespace locki::gate {

struct UpstreamProxy {
  Endpoint endpoint;
  std::string authorization;  // value of Proxy-Authorization, or empty; a secret: never logged
};

struct Upstream {
  std::optional<UpstreamProxy> http;   // for absolute-form requests
  std::optional<UpstreamProxy> https;  // for CONNECT
  std::vector<std::string> no_proxy;   // "*", "example.org", ".example.org", an address
  // The proxy for this target, or nullptr: connect directly.
  const UpstreamProxy* select(const Endpoint& target, bool connect) const;
};

// "http://user:secret@proxy.example.org:3128". kUsage for another scheme.
Result<UpstreamProxy> parse_upstream(std::string_view url);
// From http_proxy, https_proxy, all_proxy, no_proxy (lower case first, then upper case; HTTP_PROXY only in lower case,
// as curl does).
Result<Upstream> upstream_from_environment(const std::map<std::string, std::string>& environment);

}  // namespace locki::gate
