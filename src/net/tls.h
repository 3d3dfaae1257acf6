// The client's side of TLS with a pinned peer. No certificate authority, no host name: the peer's certificate must be byte-identical
// to the one given, and the handshake proves that it holds the key. TLS 1.3 only.
// TlsContext is shared by all connections to one peer and is thread-safe; it keeps session tickets, so a second connection needs
// no certificate handshake. The process must ignore SIGPIPE.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::net {

struct TlsConfig {
  std::string client_cert_pem;
  std::string client_key_pem;
  std::string pinned_server_cert_pem;
  std::string ticket = {};  // TlsContext::ticket() of another context to the same peer; an unusable one is as good as none
};

// Gives a fresh connected stream socket (TCP or unix) to the peer. How it gets there is the caller's business: there are no addresses here.
// Called from whichever thread needs a connection; may block for a short time.
using Connector = std::function<Result<sys::Fd>()>;

class TlsContext {
 public:
  // kCorrupt when a certificate or key cannot be read or they do not belong together.
  static Result<std::shared_ptr<TlsContext>> make(const TlsConfig& config);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // What resumes the newest session, for another process that may use the same key: as secret as that. DER (RFC 8446, 4.6.1, in OpenSSL's
  // own form); "" before the peer gave one.
  std::string ticket() const;

  struct Impl;  // tls_impl.h, for net/ only
  Impl& impl() const { return *impl_; }

 private:
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::net
