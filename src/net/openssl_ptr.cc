#include "net/openssl_ptr.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>

namespace locki::net {
namespace {

BioPtr memory(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// PEM_read_* would otherwise ask on the terminal for the password of an encrypted key.
int no_password(char*, int, int, void*) { return -1; }

}  // namespace

Error openssl_error(ErrorKind kind, std::string_view what) {
  std::array<char, 256> text{};
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return Error(kind, std::string(what));
  ERR_error_string_n(code, text.data(), text.size());
  return Error(kind, std::string(what) + ": " + text.data());
}

Result<X509Ptr> read_certificate(std::string_view pem) {
  constexpr std::size_t kMaxPem = 64 << 10;
  if (pem.size() > kMaxPem) return fail(ErrorKind::kCorrupt, "the certificate's PEM text is too long");
  BioPtr bio = memory(pem);
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
  if (!certificate) return fail(openssl_error(ErrorKind::kCorrupt, "not a PEM certificate"));
  if (X509Ptr second(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)); second) {
    return fail(ErrorKind::kCorrupt, "more than one certificate where one is expected");
  }
  ERR_clear_error();
  return certificate;
}

Result<KeyPtr> read_key(std::string_view pem) {
  BioPtr bio = memory(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!key) return fail(openssl_error(ErrorKind::kCorrupt, "not a PEM private key"));
  return key;
}

Result<std::string> der_of(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  if (size <= 0) return fail(openssl_error(ErrorKind::kFailed, "cannot encode a certificate"));
  std::string der(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

}  // namespace locki::net
