#include "gate/address.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>

namespace locki::gate {
namespace {

struct Range {
  Address base;
  unsigned bits;
  std::string_view why;
};

Address literal(std::string_view text) { return *Address::parse(text); }

bool in_range(const Address& address, const Address& base, unsigned bits) {
  if (address.family != base.family) return false;
  const unsigned whole = bits / 8, rest = bits % 8;
  if (std::memcmp(address.bytes.data(), base.bytes.data(), whole) != 0) return false;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (address.bytes[whole] & mask) == (base.bytes[whole] & mask);
}

// IANA special-purpose registries (RFC 6890 and successors), and the metadata services that sit outside them.
const std::vector<Range>& refused_ranges() {
  static const std::vector<Range> ranges = {
      {literal("0.0.0.0"), 8, "unspecified (this network)"},
      {literal("10.0.0.0"), 8, "private (RFC 1918)"},
      {literal("100.100.100.200"), 32, "a cloud metadata service"},
      {literal("100.64.0.0"), 10, "carrier-grade NAT (RFC 6598)"},
      {literal("127.0.0.0"), 8, "loopback"},
      {literal("168.63.129.16"), 32, "a cloud metadata service"},
      {literal("169.254.169.254"), 32, "a cloud metadata service"},
      {literal("169.254.0.0"), 16, "link-local"},
      {literal("172.16.0.0"), 12, "private (RFC 1918)"},
      {literal("192.0.0.192"), 32, "a cloud metadata service"},
      {literal("192.0.0.0"), 24, "reserved for protocols (RFC 6890)"},
      {literal("192.88.99.0"), 24, "the 6to4 relay anycast (RFC 7526)"},
      {literal("192.168.0.0"), 16, "private (RFC 1918)"},
      {literal("198.18.0.0"), 15, "for benchmarks (RFC 2544)"},
      {literal("224.0.0.0"), 4, "multicast"},
      {literal("255.255.255.255"), 32, "broadcast"},
      {literal("240.0.0.0"), 4, "reserved (RFC 1112)"},
      {literal("::"), 128, "unspecified"},
      {literal("::1"), 128, "loopback"},
      {literal("64:ff9b:1::"), 48, "local NAT64 (RFC 8215)"},
      {literal("fd00:ec2::254"), 128, "a cloud metadata service"},
      {literal("fd20:ce::254"), 128, "a cloud metadata service"},
      {literal("fc00::"), 7, "private (unique local, RFC 4193)"},
      {literal("fe80::"), 10, "link-local"},
      {literal("fec0::"), 10, "site-local (RFC 3879)"},
      {literal("ff00::"), 8, "multicast"},
      {literal("2001:2::"), 48, "for benchmarks (RFC 5180)"},
      {literal("2001:10::"), 28, "ORCHID (RFC 4843)"},
      {literal("2001:20::"), 28, "ORCHIDv2 (RFC 7343)"},
  };
  return ranges;
}

Address embedded(const Address& address, std::size_t at, std::uint8_t flip = 0) {
  Address v4;
  for (std::size_t i = 0; i < 4; ++i) v4.bytes[i] = address.bytes[at + i] ^ flip;
  return v4;
}

struct Inner {
  Address address;
  std::string_view form;
};

// The IPv4 addresses that an IPv6 address delivers to.
std::vector<Inner> embedded_v4(const Address& address) {
  static const Address mapped = literal("::ffff:0:0"), nat64 = literal("64:ff9b::"), six_to_four = literal("2002::"),
                       teredo = literal("2001::");
  if (address.family != Address::Family::kV6) return {};
  if (in_range(address, mapped, 96)) return {{embedded(address, 12), "IPv4-mapped"}};
  if (in_range(address, nat64, 96)) return {{embedded(address, 12), "NAT64"}};
  std::vector<Inner> found;
  if (in_range(address, six_to_four, 16)) found.push_back({embedded(address, 2), "6to4"});
  // RFC 4380: the server in the clear, the client with every bit inverted.
  if (in_range(address, teredo, 32)) {
    found.push_back({embedded(address, 4), "Teredo"});
    found.push_back({embedded(address, 12, 0xff), "Teredo"});
  }
  // RFC 5214: an interface id of [02]00:5efe: and the IPv4 address.
  if ((address.bytes[8] & 0xfd) == 0 && address.bytes[9] == 0 && address.bytes[10] == 0x5e && address.bytes[11] == 0xfe)
    found.push_back({embedded(address, 12), "ISATAP"});
  return found;
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  if (text.empty() || text.size() > INET6_ADDRSTRLEN || text.find('\0') != text.npos) return std::nullopt;
  const std::string copy(text);
  Address address;
  // inet_pton takes only dotted quads without leading zeros, unlike inet_aton.
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  address.bytes = {};
  address.family = Family::kV6;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

Address Address::v4(std::uint32_t host_order) {
  Address address;
  for (std::size_t i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

std::string Address::to_string() const {
  char text[INET6_ADDRSTRLEN];
  const int family_number = family == Family::kV4 ? AF_INET : AF_INET6;
  return inet_ntop(family_number, bytes.data(), text, sizeof text) != nullptr ? text : "?";
}

std::optional<std::string> forbidden(const Address& address, const std::vector<Address>& own) {
  for (const Address& mine : own)
    if (address == mine) return "an address of this machine";
  const std::vector<Inner> inner = embedded_v4(address);
  for (const Inner& each : inner)
    if (auto why = forbidden(each.address, own))
      return fmt::format("{} of {}: {}", each.form, each.address.to_string(), *why);
  for (const Range& range : refused_ranges())
    if (in_range(address, range.base, range.bits)) return std::string(range.why);
  if (address.family == Address::Family::kV4) return std::nullopt;
  // RFC 4291: global unicast is 2000::/3 so far. The two forms below ::/8 that carry a public IPv4 address were looked
  // into above.
  const bool carrier =
      address.bytes[0] == 0 && !inner.empty() && (inner[0].form == "IPv4-mapped" || inner[0].form == "NAT64");
  if ((address.bytes[0] & 0xe0) != 0x20 && !carrier) return "not global unicast";
  return std::nullopt;
}

std::vector<Address> own_addresses() {
  std::vector<Address> own;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return own;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    Address address;
    if (each->ifa_addr->sa_family == AF_INET) {
      sockaddr_in in{};
      std::memcpy(&in, each->ifa_addr, sizeof in);
      std::memcpy(address.bytes.data(), &in.sin_addr, 4);
    } else if (each->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 in{};
      std::memcpy(&in, each->ifa_addr, sizeof in);
      address.family = Address::Family::kV6;
      std::memcpy(address.bytes.data(), &in.sin6_addr, 16);
    } else {
      continue;
    }
    own.push_back(address);
  }
  freeifaddrs(list);
  return own;
}

}  // namespace locki::gate
