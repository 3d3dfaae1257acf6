#include "net/websocket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <cerrno>

#include "net/loop_impl.h"
#include "net/tls_impl.h"

namespace locki::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;
using boost::system::error_code;

constexpr std::size_t kWriteBuffer = 128 << 10;

// TLS that only says what we say. Beast answers pings by itself, and its read fails when the answer cannot be written: with a peer
// that has said everything and closed, the rest of what it said would be lost behind that failure (and an answer to a closed
// connection provokes a reset, which throws away what is still on its way). incusd sends pings to keep connections busy and expects
// no pong (cmd/incusd/instance_exec.go), so Beast's own writes are dropped here.
class QuietTls {
 public:
  using next_layer_type = beast::ssl_stream<Socket>;
  using executor_type = Socket::executor_type;

  QuietTls(Socket socket, asio::ssl::context& context) : tls_(std::move(socket), context) {}
  next_layer_type& next_layer() { return tls_; }
  const next_layer_type& next_layer() const { return tls_; }
  executor_type get_executor() { return tls_.get_executor(); }
  void speak(bool on) { speaking_ = on; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    tls_.async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (speaking_) return tls_.async_write_some(buffers, std::forward<Handler>(handler));
    asio::post(get_executor(), beast::bind_handler(std::forward<Handler>(handler), error_code{}, beast::buffer_bytes(buffers)));
  }

 private:
  next_layer_type tls_;
  bool speaking_ = true;
};

// Beast's hooks for the end of a connection: we just drop it.
[[maybe_unused]] void teardown(beast::role_type, QuietTls&, error_code& error) { error = {}; }
template <class Handler>
void async_teardown(beast::role_type, QuietTls& stream, Handler&& handler) {
  asio::post(stream.get_executor(), beast::bind_handler(std::forward<Handler>(handler), error_code{}));
}

using Stream = websocket::stream<QuietTls>;

// Asio's context owns what it is given: give it a reference of its own.
SSL_CTX* referenced(SSL_CTX* ctx) {
  SSL_CTX_up_ref(ctx);
  return ctx;
}

Error connection_error(std::string_view what, const error_code& error) {
  return Error(ErrorKind::kUnavailable, std::string(what) + ": " + error.message());
}

Result<asio::generic::stream_protocol> protocol_of(int socket) {
  int family = 0;
  socklen_t size = sizeof family;
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return fail_errno(errno, "not a usable connection");
  return asio::generic::stream_protocol(family, 0);
}

}  // namespace

struct WebSocket::Impl : std::enable_shared_from_this<WebSocket::Impl> {
  Impl(EventLoop& loop, std::shared_ptr<TlsContext> context)
      : tls(std::move(context)), ssl(referenced(tls->impl().ctx.get())), stream(Socket(loop.impl().context), ssl) {}

  std::shared_ptr<TlsContext> tls;
  asio::ssl::context ssl;
  Stream stream;
  websocket::response_type response;
  Bytes buffer;
  bool opened = false;
  bool closed = false;

  Result<> adopt(sys::Fd socket) {
    TRY_ASSIGN(const auto protocol, protocol_of(socket.get()));
    const int on = 1;
    (void)setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    error_code error;
    beast::get_lowest_layer(stream).assign(protocol, socket.get(), error);
    if (error) return fail(connection_error("not a usable connection", error));
    socket.release();
    if (SessionPtr session = tls->impl().session(); session) SSL_set_session(stream.next_layer().next_layer().native_handle(), session.get());
    return {};
  }

  void upgrade(const std::string& target, std::function<void(Result<>)> done) {
    stream.set_option(websocket::stream_base::timeout{std::chrono::seconds(60), websocket::stream_base::none(), false});
    stream.auto_fragment(false);
    stream.write_buffer_bytes(kWriteBuffer);
    stream.read_message_max(0);  // messages are taken in pieces: their size costs nothing
    stream.async_handshake(response, "incus", target, [self = shared_from_this(), done = std::move(done)](const error_code& error) {
      if (self->closed) return;
      if (error == websocket::error::upgrade_declined) {
        const bool gone = self->response.result() == beast::http::status::not_found;
        return done(fail(gone ? ErrorKind::kNotFound : ErrorKind::kFailed, "the server refused the connection with status " + std::to_string(self->response.result_int())));
      }
      if (error) return done(fail(connection_error("the WebSocket could not be opened", error)));
      self->opened = true;
      self->stream.next_layer().speak(false);
      self->buffer.resize(kMaxRead);
      done({});
    });
  }
};

WebSocket::WebSocket(EventLoop& loop, std::shared_ptr<TlsContext> tls) : impl_(std::make_shared<Impl>(loop, std::move(tls))) {}
WebSocket::~WebSocket() { close(); }

bool WebSocket::is_open() const { return impl_->opened && !impl_->closed; }

void WebSocket::open(sys::Fd socket, std::string_view target, std::function<void(Result<>)> done) {
  if (auto adopted = impl_->adopt(std::move(socket)); !adopted) return done(std::move(adopted));
  impl_->stream.next_layer().next_layer().async_handshake(
      asio::ssl::stream_base::client, [self = impl_, target = std::string(target), done = std::move(done)](const error_code& error) mutable {
        if (self->closed) return;
        if (error) {
          const bool refused = SSL_get_verify_result(self->stream.next_layer().next_layer().native_handle()) == X509_V_ERR_CERT_UNTRUSTED;
          if (refused) return done(fail(ErrorKind::kPermission, "the server's certificate is not the pinned one"));
          return done(fail(connection_error("the TLS handshake failed", error)));
        }
        if (auto pinned = self->tls->impl().check_peer(self->stream.next_layer().next_layer().native_handle()); !pinned) return done(std::move(pinned));
        self->upgrade(target, std::move(done));
      });
}

void WebSocket::read(std::function<void(Result<Data>)> done) {
  impl_->stream.async_read_some(asio::buffer(impl_->buffer), [self = impl_, done = std::move(done)](const error_code& error, std::size_t size) {
    if (self->closed) return;
    if (error == websocket::error::closed) return done(fail(ErrorKind::kUnavailable, "the server closed the connection"));
    if (error) return done(fail(connection_error("the connection broke", error)));
    done(Data{ByteView(self->buffer.data(), size), self->stream.got_text(), self->stream.is_message_done()});
  });
}

void WebSocket::write(ByteView bytes, bool text, std::function<void(Result<>)> done) {
  impl_->stream.text(text);
  impl_->stream.next_layer().speak(true);
  impl_->stream.async_write(asio::buffer(bytes.data(), bytes.size()), [self = impl_, done = std::move(done)](const error_code& error, std::size_t) {
    if (self->closed) return;
    self->stream.next_layer().speak(false);
    if (error) return done(fail(connection_error("the connection broke", error)));
    done({});
  });
}

void WebSocket::close() {
  impl_->closed = true;
  error_code ignored;
  beast::get_lowest_layer(impl_->stream).close(ignored);
}

}  // namespace locki::net
