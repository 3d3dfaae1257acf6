// What TlsContext is made of, for net/*.cc only.
#pragma once

#include <mutex>
#include <string>

#include "net/openssl_ptr.h"
#include "net/tls.h"

namespace locki::net {

struct TlsContext::Impl {
  SslCtxPtr ctx;
  std::string pinned_der;

  // A copy of the newest session ticket to resume from, or null. A copy, because OpenSSL marks the session of a connection that
  // ends without close_notify as not resumable, and a broken connection is no reason for a slow next one.
  SessionPtr session();
  void remember(SSL_SESSION* session);

  // After the handshake, also after a resumed one (which verifies no certificate): the peer of the session is the pinned one.
  Result<> check_peer(SSL* ssl) const;

 private:
  std::mutex mutex_;
  SessionPtr newest_;
};

// kPermission when the pin refused the peer, else kUnavailable with OpenSSL's words. Empties the error queue.
Error handshake_error();

}  // namespace locki::net
