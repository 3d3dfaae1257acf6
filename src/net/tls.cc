#include "net/tls.h"

#include <openssl/err.h>

#include "net/tls_impl.h"

namespace locki::net {
namespace {

// Not SSL_CTX's "app data", which Asio claims for itself.
int impl_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Replaces OpenSSL's whole chain verification: no name, date or issuer matters, only whether this is the certificate we pinned.
int verify_pin(X509_STORE_CTX* store, void* pinned_der) {
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf != nullptr) {
    if (auto der = der_of(leaf); der && *der == *static_cast<const std::string*>(pinned_der)) return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

int new_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<TlsContext::Impl*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), impl_index()))->remember(session);
  return 0;  // we keep no reference to this one
}

}  // namespace

SessionPtr TlsContext::Impl::session() {
  const std::lock_guard lock(mutex_);
  return newest_ ? SessionPtr(SSL_SESSION_dup(newest_.get())) : nullptr;
}

void TlsContext::Impl::remember(SSL_SESSION* session) {
  SessionPtr copy(SSL_SESSION_dup(session));
  const std::lock_guard lock(mutex_);
  newest_ = std::move(copy);
}

Result<> TlsContext::Impl::check_peer(SSL* ssl) const {
  X509Ptr peer(SSL_get1_peer_certificate(ssl));
  if (!peer) return fail(ErrorKind::kPermission, "the server showed no certificate");
  TRY_ASSIGN(const std::string der, der_of(peer.get()));
  if (der != pinned_der) return fail(ErrorKind::kPermission, "the server's certificate is not the pinned one");
  return {};
}

Error handshake_error() {
  if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    ERR_clear_error();
    return Error(ErrorKind::kPermission, "the server's certificate is not the pinned one");
  }
  return openssl_error(ErrorKind::kUnavailable, "the TLS handshake failed");
}

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

std::string TlsContext::ticket() const {
  const SessionPtr session = impl_->session();
  const int size = session ? i2d_SSL_SESSION(session.get(), nullptr) : 0;
  if (size <= 0) return "";
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* to = reinterpret_cast<unsigned char*>(der.data());
  if (i2d_SSL_SESSION(session.get(), &to) != size) return "";
  return der;
}

Result<std::shared_ptr<TlsContext>> TlsContext::make(const TlsConfig& config) {
  auto impl = std::make_unique<Impl>();
  TRY_ASSIGN(X509Ptr pinned, context(read_certificate(config.pinned_server_cert_pem), "while reading the server's certificate"));
  TRY_ASSIGN(impl->pinned_der, der_of(pinned.get()));
  TRY_ASSIGN(X509Ptr certificate, context(read_certificate(config.client_cert_pem), "while reading the client's certificate"));
  TRY_ASSIGN(KeyPtr key, context(read_key(config.client_key_pem), "while reading the client's key"));

  impl->ctx.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* ctx = impl->ctx.get();
  if (ctx == nullptr || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1) {
    return fail(openssl_error(ErrorKind::kFailed, "cannot set TLS up"));
  }
  if (SSL_CTX_use_certificate(ctx, certificate.get()) != 1 || SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 ||
      SSL_CTX_check_private_key(ctx) != 1) {
    return fail(openssl_error(ErrorKind::kCorrupt, "the client's key does not belong to its certificate"));
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(ctx, verify_pin, &impl->pinned_der);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, new_session);
  if (SSL_CTX_set_ex_data(ctx, impl_index(), impl.get()) != 1) return fail(openssl_error(ErrorKind::kFailed, "cannot set TLS up"));
  if (!config.ticket.empty()) {
    const auto* der = reinterpret_cast<const unsigned char*>(config.ticket.data());
    if (const SessionPtr session(d2i_SSL_SESSION(nullptr, &der, static_cast<long>(config.ticket.size()))); session) impl->remember(session.get());
    ERR_clear_error();
  }
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

}  // namespace locki::net
