// IP addresses as values, and which of them no policy can make reachable. Pure, apart from own_addresses().
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locki::gate {

struct Address {
  enum class Family : std::uint8_t { kV4, kV6 };
  Family family = Family::kV4;
  std::array<std::uint8_t, 16> bytes{};  // IPv4 uses the first four

  auto operator<=>(const Address&) const = default;
  // Dotted quad without leading zeros, or RFC 4291 text without brackets and zone. Nothing else: no "127.1", no
  // hexadecimal.
  static std::optional<Address> parse(std::string_view text);
  static Address v4(std::uint32_t host_order);
  std::string to_string() const;  // canonical (RFC 5952)
};

// Why the address is never reachable ("loopback", "private (RFC 1918)", …), or nothing when the policy may decide.
// Looks through IPv4-mapped, NAT64, 6to4, Teredo and ISATAP forms. Everything that is not global unicast is refused;
// documentation ranges are not, because networks that inspect TLS resolve real names into them. `own` are the host's
// own addresses.
std::optional<std::string> forbidden(const Address& address, const std::vector<Address>& own = {});

// The addresses of the host's interfaces (getifaddrs). Empty when that fails: the ranges above are refused all the
// same.
std::vector<Address> own_addresses();

}  // namespace locki::gate
