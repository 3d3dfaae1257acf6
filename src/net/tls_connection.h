// One blocking TLS connection whose every wait has a deadline and can be stopped. For net/*.cc only; one thread at a time.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>

#include "base/strings.h"
#include "net/openssl_ptr.h"
#include "net/tls_impl.h"

namespace locki::net {

struct Until {
  std::chrono::steady_clock::time_point deadline;
  std::stop_token stop;
};

class TlsConnection {
 public:
  static Result<TlsConnection> open(std::shared_ptr<TlsContext> tls, sys::Fd socket, const Until& until);

  // At least one byte; 0 is the peer's orderly close. kUnavailable when the connection broke, kTimeout, kCancelled.
  Result<std::size_t> read_some(std::uint8_t* data, std::size_t size, const Until& until);
  Result<> write_all(ByteView data, const Until& until);
  // Nothing waits to be read and the peer has not closed it: fit for another request.
  bool idle();

 private:
  TlsConnection(std::shared_ptr<TlsContext> tls, sys::Fd socket, SslPtr ssl)
      : tls_(std::move(tls)), socket_(std::move(socket)), ssl_(std::move(ssl)) {}
  Result<> wait(int ssl_error, const Until& until, std::string_view what);

  std::shared_ptr<TlsContext> tls_;
  sys::Fd socket_;
  SslPtr ssl_;  // after the socket: freed before it is closed
};

}  // namespace locki::net
