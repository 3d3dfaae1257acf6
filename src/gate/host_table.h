// Which host each of a client's addresses stands for. Names resolve inside to addresses of our own making: nearly all of them to one, and what
// connects there must say itself where it wants to go (TLS, HTTP). A host that a rule names with a port of its own gets an address to itself,
// so that every protocol finds it. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gate/host.h"

namespace locki::gate {

class HostTable {
 public:
  static constexpr std::uint8_t kSize = 64;     // addresses of a client: a power of two
  static constexpr std::uint8_t kAnyHost = 1;   // the one for all other names; the first stands for nothing
  static constexpr std::uint8_t kFirstHost = 2;

  // Every wanted name has an address afterwards, in place of names that are not wanted any more if need be; names keep theirs, because
  // programs remember addresses. Returns those for which there is none.
  std::set<std::string> add(const std::set<std::string>& wanted);
  // Empty: no host's.
  const std::string& at(std::uint8_t place) const { return names_.at(place); }

  // A line for each: "2 db.example.org". kCorrupt for anything else.
  std::string to_text() const;
  static Result<HostTable> parse(std::string_view text);
  bool operator==(const HostTable&) const = default;

 private:
  std::array<std::string, kSize> names_;
};

}  // namespace locki::gate
