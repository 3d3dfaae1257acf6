#include "base/hash.h"

#include <sodium.h>

#include <cstring>

namespace locki {

static_assert(sizeof(crypto_generichash_state) <= 384);

namespace {
crypto_generichash_state* as_state(std::array<std::uint8_t, 384>& storage) {
  return reinterpret_cast<crypto_generichash_state*>(storage.data());
}
}  // namespace

std::optional<Hash> Hash::from_hex(std::string_view text) {
  const auto raw = unhex(text);
  Hash hash;
  if (!raw || raw->size() != hash.bytes.size()) return std::nullopt;
  std::memcpy(hash.bytes.data(), raw->data(), raw->size());
  return hash;
}

std::size_t Hash::Hasher::operator()(const Hash& h) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, h.bytes.data(), sizeof value);
  return value;
}

Blake2::Blake2() { crypto_generichash_init(as_state(state_), nullptr, 0, 32); }

void Blake2::update(ByteView bytes) { crypto_generichash_update(as_state(state_), bytes.data(), bytes.size()); }

Hash Blake2::finish() {
  Hash hash;
  crypto_generichash_final(as_state(state_), hash.bytes.data(), hash.bytes.size());
  return hash;
}

Hash hash_of(ByteView bytes) {
  Hash hash;
  crypto_generichash(hash.bytes.data(), hash.bytes.size(), bytes.data(), bytes.size(), nullptr, 0);
  return hash;
}

std::string random_hex(std::size_t bytes) {
  Bytes raw(bytes);
  randombytes_buf(raw.data(), raw.size());
  return hex(raw);
}

bool same_secret(std::string_view a, std::string_view b) { return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace locki
