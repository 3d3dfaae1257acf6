#include "net/tls_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace locki::net {
namespace {

// A stop request has no descriptor of its own: with one possible, waits are cut into pieces.
constexpr auto kStopSlice = std::chrono::milliseconds(200);

}  // namespace

Result<> TlsConnection::wait(int ssl_error, const Until& until, std::string_view what) {
  short events = 0;
  if (ssl_error == SSL_ERROR_WANT_READ) events = POLLIN;
  if (ssl_error == SSL_ERROR_WANT_WRITE) events = POLLOUT;
  if (events == 0) {
    if (ssl_error == SSL_ERROR_SYSCALL && ERR_peek_last_error() == 0 && errno != 0) {
      const int captured = errno;
      return fail(ErrorKind::kUnavailable, errno_error(captured, what).message());
    }
    return fail(openssl_error(ErrorKind::kUnavailable, std::string(what) + ": the connection broke"));
  }
  while (true) {
    if (until.stop.stop_requested()) return fail(ErrorKind::kCancelled, "cancelled");
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until.deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(ErrorKind::kTimeout, std::string(what) + ": the server did not answer in time");
    if (until.stop.stop_possible()) left = std::min(left, std::chrono::milliseconds(kStopSlice));
    left = std::min(left, std::chrono::milliseconds(1'000'000));
    pollfd entry{socket_.get(), events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_errno(errno, what);
  }
}

Result<TlsConnection> TlsConnection::open(std::shared_ptr<TlsContext> tls, sys::Fd socket, const Until& until) {
  TRY(sys::set_nonblocking(socket.get(), true));
  const int on = 1;  // not every stream socket is TCP; where it is, small requests must not wait for an acknowledgement
  (void)setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SslPtr ssl(SSL_new(tls->impl().ctx.get()));
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1) return fail(openssl_error(ErrorKind::kFailed, "cannot set TLS up"));
  if (SessionPtr session = tls->impl().session(); session) SSL_set_session(ssl.get(), session.get());
  TlsConnection connection(std::move(tls), std::move(socket), std::move(ssl));
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int done = SSL_connect(connection.ssl_.get());
    if (done == 1) break;
    const int error = SSL_get_error(connection.ssl_.get(), done);
    if (error == SSL_ERROR_SSL) return fail(handshake_error());
    TRY(connection.wait(error, until, "the TLS handshake failed"));
  }
  TRY(connection.tls_->impl().check_peer(connection.ssl_.get()));
  return connection;
}

Result<std::size_t> TlsConnection::read_some(std::uint8_t* data, std::size_t size, const Until& until) {
  while (true) {
    ERR_clear_error();
    errno = 0;
    std::size_t got = 0;
    const int done = SSL_read_ex(ssl_.get(), data, size, &got);
    if (done == 1) return got;
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    TRY(wait(error, until, "cannot read from the server"));
  }
}

Result<> TlsConnection::write_all(ByteView data, const Until& until) {
  while (!data.empty()) {
    ERR_clear_error();
    errno = 0;
    std::size_t sent = 0;
    const int done = SSL_write_ex(ssl_.get(), data.data(), data.size(), &sent);
    if (done == 1) {
      data = data.subspan(sent);
      continue;
    }
    TRY(wait(SSL_get_error(ssl_.get(), done), until, "cannot write to the server"));
  }
  return {};
}

bool TlsConnection::idle() {
  ERR_clear_error();
  std::uint8_t byte = 0;
  std::size_t got = 0;
  const int done = SSL_peek_ex(ssl_.get(), &byte, 1, &got);  // also takes in session tickets
  const bool quiet = done != 1 && SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ;
  ERR_clear_error();
  return quiet;
}

}  // namespace locki::net
