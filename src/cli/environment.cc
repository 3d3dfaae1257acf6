#include "cli/environment.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace locki::cli {
namespace {

bool made_of(std::string_view value, std::string_view extra, std::size_t most) {
  if (value.empty() || value.size() > most) return false;
  return std::all_of(value.begin(), value.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || extra.find(c) != std::string_view::npos;
  });
}

bool may_cross(std::string_view name, std::string_view value) {
  if (name == "TERM" || name == "COLORTERM") return made_of(value, "-_.+", 64) && value.front() != '.';
  if (name == "LANG" || name == "LANGUAGE") return made_of(value, "-_.@:", 64);
  if (name.starts_with("LC_")) return made_of(name.substr(3), "_", 32) && made_of(value, "-_.@", 64);
  // A zone's name, never a path: libc would open it.
  if (name == "TZ") return made_of(value, "-_+/,.<>", 64) && value.front() != '/' && value.find("..") == std::string_view::npos;
  return false;
}

}  // namespace

std::map<std::string, std::string> crossing_environment(const std::map<std::string, std::string>& host) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : host) {
    if (may_cross(name, value)) out.emplace(name, value);
    if (name == "NO_COLOR" && !value.empty()) out.emplace(name, "1");
  }
  return out;
}

std::map<std::string, std::string> host_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view whole(*entry);
    const auto equals = whole.find('=');
    if (equals != std::string_view::npos && equals > 0) out.emplace(whole.substr(0, equals), whole.substr(equals + 1));
  }
  return out;
}

}  // namespace locki::cli
