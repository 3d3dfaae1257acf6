// BLAKE2b-256 content hashes (libsodium's crypto_generichash). A value type; the hasher belongs to one thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/strings.h"

namespace locki {

struct Hash {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Hash&) const = default;
  std::string to_hex() const { return hex(bytes); }
  static std::optional<Hash> from_hex(std::string_view text);
  // The first bytes of a hash are as good as random: a hash table may use them directly.
  struct Hasher {
    std::size_t operator()(const Hash& h) const noexcept;
  };
};

class Blake2 {
 public:
  Blake2();
  void update(ByteView bytes);
  void update(std::string_view text) { update(as_bytes(text)); }
  Hash finish();  // once

 private:
  alignas(64) std::array<std::uint8_t, 384> state_{};  // crypto_generichash_state
};

Hash hash_of(ByteView bytes);
inline Hash hash_of(std::string_view text) { return hash_of(as_bytes(text)); }

// Cryptographically random bytes as lower-case hex, 2 characters a byte.
std::string random_hex(std::size_t bytes);
// In a time that says nothing about where they differ.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace locki
