// The certificates that the host trusts, for the sandbox's trust stores: on a network that inspects TLS, only the host knows its CA.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace locki::sandbox {

// The PEM blocks of a bundle, each with its lines and a final newline. What is between them is dropped. Pure.
std::vector<std::string> pem_certificates(std::string_view bundle);
// Those of `bundle` that `known` lacks (compared by their base64 text). Pure.
std::vector<std::string> certificates_missing_from(std::string_view known, std::string_view bundle);
// The host's bundle: $SSL_CERT_FILE, else the distributions' usual places. "" when there is none.
std::string host_certificates();

}  // namespace locki::sandbox
