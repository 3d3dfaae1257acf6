#include "gate/host_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace locki::gate {

std::set<std::string> HostTable::add(const std::set<std::string>& wanted) {
  std::set<std::string> missing = wanted;
  for (const auto& name : names_) missing.erase(name);
  const auto place = [&](auto is_free) {
    for (std::size_t at = kFirstHost; at < kSize && !missing.empty(); ++at) {
      if (is_free(names_[at])) names_[at] = missing.extract(missing.begin()).value();
    }
  };
  place([](const std::string& name) { return name.empty(); });
  place([&](const std::string& name) { return !wanted.contains(name); });
  return missing;
}

std::string HostTable::to_text() const {
  std::string text;
  for (std::size_t at = kFirstHost; at < kSize; ++at) {
    if (!names_[at].empty()) text += fmt::format("{} {}\n", at, names_[at]);
  }
  return text;
}

Result<HostTable> HostTable::parse(std::string_view text) {
  HostTable table;
  std::set<std::string> seen;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::size_t at = 0;
    const auto number = std::from_chars(line.data(), line.data() + line.size(), at);
    const auto length = static_cast<std::size_t>(number.ptr - line.data());
    const bool placed = number.ec == std::errc() && at >= kFirstHost && at < kSize && length < line.size() && line[length] == ' ';
    const auto host = placed ? parse_host(line.substr(length + 1)) : fail(ErrorKind::kCorrupt, "no place");
    if (!host || host->address || !table.names_[at].empty() || !seen.insert(host->name).second) {
      return fail(ErrorKind::kCorrupt, fmt::format("\"{}\" is no host and its place", printable(line, 80)));
    }
    table.names_[at] = host->name;
  }
  return table;
}

}  // namespace locki::gate
