// Owners for OpenSSL's objects, and its error queue as text. For net/*.cc only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace locki::net {

template <auto Free>
struct OpenSslFree {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, OpenSslFree<SSL_SESSION_free>>;

// "what: the newest entry of this thread's error queue"; empties the queue. The text comes from OpenSSL's own tables.
Error openssl_error(ErrorKind kind, std::string_view what);

// kCorrupt unless the PEM text holds exactly one of it.
Result<X509Ptr> read_certificate(std::string_view pem);
Result<KeyPtr> read_key(std::string_view pem);
Result<std::string> der_of(X509* certificate);

}  // namespace locki::net
