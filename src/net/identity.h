// A TLS identity of our own: an EC P-256 key and a self-signed certificate for it. There is no CA anywhere in locki: whoever talks
// to a peer holds that peer's certificate and compares it byte for byte (tls.h). Pure functions except load_or_create; any thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace locki::net {

struct Identity {
  std::string certificate_pem;
  std::string key_pem;  // PKCS #8, unencrypted: a secret
};

// Usable as a server's and as a client's certificate; the common name is also its DNS name. It is valid from two days ago (the
// clock of a VM may be behind, and incusd refuses certificates "from the future") for `validity`.
Result<Identity> make_identity(std::string_view common_name, std::chrono::days validity = std::chrono::days(3650));

// DIRECTORY/NAME.crt and DIRECTORY/NAME.key; makes them when both are absent (the key 0600 from its first byte). A certificate
// without its key, or one that does not belong to it, is kCorrupt. The directory must exist and be ours. Callers in several
// processes hold a lock.
Result<Identity> load_or_create(const std::filesystem::path& directory, std::string_view name, std::string_view common_name);

// The certificate's DER bytes, from PEM that holds exactly one; kCorrupt otherwise.
Result<std::string> certificate_der(std::string_view certificate_pem);
// SHA-256 of the DER in lower-case hex: what Incus calls a certificate's fingerprint.
Result<std::string> fingerprint(std::string_view certificate_pem);

}  // namespace locki::net
