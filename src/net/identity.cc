#include "net/identity.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/strings.h"
#include "net/openssl_ptr.h"
#include "sys/file.h"

namespace locki::net {
namespace {

constexpr long kBackdateSeconds = 2L * 24 * 3600;

tl::unexpected<Error> failed(std::string_view what) { return fail(openssl_error(ErrorKind::kFailed, what)); }

// The name becomes a DNS name in the certificate and is part of an OpenSSL configuration string below: keep it plain.
bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > 60) return false;
  for (char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!plain) return false;
  }
  return true;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> random{};
  if (RAND_bytes(random.data(), random.size()) != 1) return false;
  random[0] = static_cast<unsigned char>((random[0] & 0x7f) | 0x40);  // positive, and never shorter
  BIGNUM* number = BN_bin2bn(random.data(), random.size(), nullptr);
  const bool set = number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

Result<std::string> text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  if (size <= 0) return failed("cannot write PEM");
  return std::string(data, static_cast<std::size_t>(size));
}

}  // namespace

Result<Identity> make_identity(std::string_view common_name, std::chrono::days validity) {
  if (!is_plain_name(common_name)) return fail(ErrorKind::kUsage, "not a usable certificate name: " + printable(common_name));
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return failed("cannot make a key");
  X509Ptr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 || !set_serial(certificate.get())) {
    return failed("cannot make a certificate");
  }
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kBackdateSeconds);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(validity.count()), 0, nullptr);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const std::string text(common_name);
  const bool described =
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0) == 1 &&
      X509_set_issuer_name(certificate.get(), name) == 1 && X509_set_pubkey(certificate.get(), key.get()) == 1 &&
      add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature") &&
      add_extension(certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth") &&
      add_extension(certificate.get(), NID_subject_alt_name, "DNS:" + text);
  if (!described || X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return failed("cannot make a certificate");

  BioPtr certificate_bio(BIO_new(BIO_s_mem()));
  BioPtr key_bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_X509(certificate_bio.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return failed("cannot write PEM");
  }
  Identity identity;
  TRY_ASSIGN(identity.certificate_pem, text_of(certificate_bio.get()));
  TRY_ASSIGN(identity.key_pem, text_of(key_bio.get()));
  return identity;
}

Result<Identity> load_or_create(const std::filesystem::path& directory, std::string_view name, std::string_view common_name) {
  constexpr std::size_t kMaxPem = 64 << 10;
  const auto certificate_path = directory / (std::string(name) + ".crt");
  const auto key_path = directory / (std::string(name) + ".key");
  auto certificate = sys::read_file(certificate_path, kMaxPem);
  if (!certificate && certificate.error().kind() != ErrorKind::kNotFound) return fail(std::move(certificate).error());
  auto key = sys::read_file(key_path, kMaxPem);
  if (!key && key.error().kind() != ErrorKind::kNotFound) return fail(std::move(key).error());

  if (certificate && !key) {
    return fail(ErrorKind::kCorrupt, certificate_path.string() + " is there without its key", "move it away to get a new pair");
  }
  if (!certificate) {
    // The key is written first: a key without a certificate is what an interrupted creation leaves, and it was never used.
    if (key) TRY(sys::remove_tree(key_path));
    TRY_ASSIGN(Identity identity, make_identity(common_name));
    TRY(sys::create_secret(key_path, identity.key_pem));
    TRY(sys::write_file(certificate_path, identity.certificate_pem, 0644));
    return identity;
  }
  TRY_ASSIGN(X509Ptr parsed, context(read_certificate(*certificate), "while reading " + certificate_path.string()));
  TRY_ASSIGN(KeyPtr parsed_key, context(read_key(*key), "while reading " + key_path.string()));
  if (X509_check_private_key(parsed.get(), parsed_key.get()) != 1) {
    return fail(openssl_error(ErrorKind::kCorrupt, key_path.string() + " does not belong to its certificate"));
  }
  return Identity{std::move(*certificate), std::move(*key)};
}

Result<std::string> certificate_der(std::string_view certificate_pem) {
  TRY_ASSIGN(X509Ptr certificate, read_certificate(certificate_pem));
  return der_of(certificate.get());
}

Result<std::string> fingerprint(std::string_view certificate_pem) {
  TRY_ASSIGN(const std::string der, certificate_der(certificate_pem));
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(der.data(), der.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) return failed("cannot hash a certificate");
  return hex(ByteView(digest.data(), size));
}

}  // namespace locki::net
