// Hosts that the user's own tools are configured to fetch packages from, so that a company's mirror works without a
// word. The parsers are pure; they read the user's and the system's configuration only, never a repository's.
// Credentials in it are dropped.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gate/policy.h"

namespace locki::gate {

// Each returns the http(s) endpoints named in the text; what cannot be parsed is passed over.
std::vector<Endpoint> hosts_in_npmrc(std::string_view text);         // registry=, @scope:registry=
std::vector<Endpoint> hosts_in_pip_conf(std::string_view text);      // index-url, extra-index-url, find-links
std::vector<Endpoint> hosts_in_cargo_config(std::string_view text);  // registries.*.index, source.*.registry
std::vector<Endpoint> hosts_in_apt_list(std::string_view text);      // one-line format
std::vector<Endpoint> hosts_in_apt_sources(std::string_view text);   // deb822 format
std::vector<Endpoint> hosts_in_goproxy(std::string_view value);      // comma- or bar-separated
std::vector<Endpoint> hosts_in_go_env(std::string_view text);        // GOPROXY=, GOSUMDB= in the file of `go env -w`

struct ToolConfiguration {
  std::filesystem::path home;
  std::filesystem::path root = "/";                // tests point it elsewhere
  std::map<std::string, std::string> environment;  // the user's; only the variables of these tools are looked at
  bool run_npm = true;                             // ask an installed npm for its registry (`npm config get registry`)
};
// Allow rules with the file or variable each was found in as their source; without duplicates; at most 200. Never
// fails: what is absent or unreadable is passed over. Blocks for as long as npm takes (at most 10 s): not for the
// loop's thread.
std::vector<Rule> configured_registries(const ToolConfiguration& where);

}  // namespace locki::gate
