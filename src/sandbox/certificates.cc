#include "sandbox/certificates.h"

#include <cstdlib>
#include <set>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";

std::string body_of(std::string_view certificate) {
  std::string body;
  for (const char c : certificate) {
    if (c != '\n' && c != '\r' && c != ' ') body += c;
  }
  return body;
}

}  // namespace

std::vector<std::string> pem_certificates(std::string_view bundle) {
  std::vector<std::string> found;
  for (std::size_t at = bundle.find(kBegin); at != std::string_view::npos; at = bundle.find(kBegin, at)) {
    const std::size_t end = bundle.find(kEnd, at);
    if (end == std::string_view::npos) break;
    found.push_back(std::string(bundle.substr(at, end + kEnd.size() - at)) + "\n");
    at = end;
  }
  return found;
}

std::vector<std::string> certificates_missing_from(std::string_view known, std::string_view bundle) {
  std::set<std::string> have;
  for (const auto& certificate : pem_certificates(known)) have.insert(body_of(certificate));
  std::vector<std::string> missing;
  for (auto& certificate : pem_certificates(bundle)) {
    if (have.insert(body_of(certificate)).second) missing.push_back(std::move(certificate));
  }
  return missing;
}

std::string host_certificates() {
  std::vector<std::string> places;
  if (const char* file = std::getenv("SSL_CERT_FILE"); file != nullptr && file[0] == '/') places.emplace_back(file);
  places.insert(places.end(), {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"});
  for (const auto& place : places) {
    if (auto bundle = sys::read_file(place, 16 << 20)) return std::move(*bundle);
  }
  return "";
}

}  // namespace locki::sandbox
