// Cargo's configuration is TOML with nested tables, so it gets a real parser; the only place in gate/ that includes
// one.
#include <toml++/toml.h>

#include "gate/registries.h"

namespace locki::gate {
namespace {

void add(std::vector<Endpoint>& found, const toml::node_view<const toml::node>& node) {
  const auto url = node.value<std::string_view>();
  if (!url) return;
  // "sparse+https://…/index/" is cargo's own prefix.
  const std::size_t plus = url->substr(0, url->find("://")).rfind('+');
  if (auto parts = parse_url(plus == url->npos ? *url : url->substr(plus + 1)))
    found.push_back(std::move(parts->endpoint));
}

void add_each(std::vector<Endpoint>& found, const toml::table& root, std::string_view table, std::string_view key) {
  const toml::table* entries = root[table].as_table();
  if (entries == nullptr) return;
  for (const auto& [name, entry] : *entries)
    if (const toml::table* values = entry.as_table()) add(found, (*values)[key]);
}

}  // namespace

std::vector<Endpoint> hosts_in_cargo_config(std::string_view text) {
  std::vector<Endpoint> found;
  try {
    const toml::table root = toml::parse(text);
    add_each(found, root, "registries", "index");
    add_each(found, root, "source", "registry");
    add(found, root["registry"]["index"]);
  } catch (const toml::parse_error&) {
    // Cargo itself will tell the user.
  }
  return found;
}

}  // namespace locki::gate
