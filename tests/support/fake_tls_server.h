// A small blocking TLS server on socket pairs, one thread a connection: HTTP/1.1 and WebSocket by hand on OpenSSL, so that a
// mistake in net/ is not made on both sides. Test support: a broken expectation aborts.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "net/identity.h"
#include "net/tls.h"
#include "sys/fd.h"

namespace locki::test {

// One accepted connection. The lock makes one reading and one writing thread possible.
class TlsPeer {
 public:
  TlsPeer(SSL_CTX* ctx, sys::Fd fd) : fd_(std::move(fd)), ssl_(SSL_new(ctx)) {
    SSL_set_fd(ssl_, fd_.get());
    ok_ = SSL_accept(ssl_) == 1;
    if (ok_) (void)sys::set_nonblocking(fd_.get(), true);
  }
  ~TlsPeer() { SSL_free(ssl_); }
  bool ok() const { return ok_; }
  bool resumed() const { return SSL_session_reused(ssl_) == 1; }

  // 0: the end
  std::size_t read(char* data, std::size_t size) {
    std::size_t got = 0;
    return until([&] { return SSL_read_ex(ssl_, data, size, &got); }) ? got : 0;
  }
  bool write(std::string_view data) {
    while (!data.empty()) {
      std::size_t sent = 0;
      if (!until([&] { return SSL_write_ex(ssl_, data.data(), std::min<std::size_t>(data.size(), 16384), &sent); })) return false;
      data.remove_prefix(sent);
    }
    return true;
  }
  // Everything fails from now on, also in other threads.
  void cut() {
    dead_ = true;
    ::shutdown(fd_.get(), SHUT_RDWR);
  }
  // Bytes that come, until `end` was seen; what follows stays in `rest`.
  std::optional<std::string> read_until(std::string_view end, std::string& rest) {
    char chunk[16384];
    while (rest.find(end) == std::string::npos) {
      const std::size_t got = read(chunk, sizeof chunk);
      if (got == 0) return std::nullopt;
      rest.append(chunk, got);
    }
    const std::size_t size = rest.find(end) + end.size();
    std::string head = rest.substr(0, size);
    rest.erase(0, size);
    return head;
  }
  bool read_exact(std::string& rest, std::size_t size, const std::function<void(std::string_view)>& take) {
    char chunk[16384];
    while (size > 0) {
      if (rest.empty()) {
        const std::size_t got = read(chunk, std::min(sizeof chunk, size));
        if (got == 0) return false;
        rest.assign(chunk, got);
      }
      const std::size_t part = std::min(size, rest.size());
      take(std::string_view(rest).substr(0, part));
      rest.erase(0, part);
      size -= part;
    }
    return true;
  }

 private:
  bool until(const std::function<int()>& step) {
    while (!dead_) {
      short events = 0;
      {
        const std::lock_guard lock(mutex_);
        const int done = step();
        if (done == 1) return true;
        const int error = SSL_get_error(ssl_, done);
        if (error == SSL_ERROR_WANT_READ) events = POLLIN;
        if (error == SSL_ERROR_WANT_WRITE) events = POLLOUT;
      }
      if (events == 0) return false;
      pollfd entry{fd_.get(), events, 0};
      poll(&entry, 1, 100);
    }
    return false;
  }
  sys::Fd fd_;
  SSL* ssl_;
  std::mutex mutex_;
  std::atomic<bool> dead_ = false;
  bool ok_ = false;
};

// The server's end of a WebSocket.
class WsPeer {
 public:
  WsPeer(TlsPeer& peer, std::string rest) : peer_(peer), rest_(std::move(rest)) {}
  enum Opcode { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
  struct Frame {
    int opcode = 0;
    std::string data;
  };
  bool send(int opcode, std::string_view data) {
    std::string frame(1, static_cast<char>(0x80 | opcode));
    if (data.size() < 126) {
      frame += static_cast<char>(data.size());
    } else {
      const bool small = data.size() < 65536;  // the shortest form is the only valid one
      frame += static_cast<char>(small ? 126 : 127);
      for (int shift = small ? 8 : 56; shift >= 0; shift -= 8) frame += static_cast<char>((data.size() >> shift) & 0xff);
    }
    frame += data;
    const std::lock_guard lock(send_mutex_);
    return peer_.write(frame);
  }
  bool raw(std::string_view bytes) { return peer_.write(bytes); }
  // Data and close frames; nullopt: the connection ended. Fragments come one by one.
  std::optional<Frame> receive() {
    std::string head;
    if (!get(2, head)) return std::nullopt;
    std::uint64_t size = static_cast<unsigned char>(head[1]) & 0x7f;
    if ((static_cast<unsigned char>(head[1]) & 0x80) == 0) std::abort();  // a client must mask
    if (size >= 126) {
      std::string length;
      if (!get(size == 126 ? 2 : 8, length)) return std::nullopt;
      size = 0;
      for (const char c : length) size = size << 8 | static_cast<unsigned char>(c);
    }
    std::string mask;
    Frame frame{head[0] & 0x0f, {}};
    if (!get(4, mask) || !get(size, frame.data)) return std::nullopt;
    for (std::size_t i = 0; i < frame.data.size(); ++i) frame.data[i] = static_cast<char>(frame.data[i] ^ mask[i % 4]);
    return frame;
  }
  void cut() { peer_.cut(); }

 private:
  bool get(std::size_t size, std::string& out) {
    out.clear();
    return peer_.read_exact(rest_, size, [&](std::string_view part) { out += part; });
  }
  TlsPeer& peer_;
  std::string rest_;
  std::mutex send_mutex_;
};

struct HttpRequest {
  std::string method, target;
  std::map<std::string, std::string> headers;  // lower-case names
  std::string body;                            // its first 64 KiB
  std::uint64_t body_size = 0;
  std::string path() const { return target.substr(0, target.find('?')); }
};

inline std::string http_response(int status, std::string_view body, const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + std::string(body);
}

class FakeTlsServer {
 public:
  // Returns the raw answer. An empty one cuts the connection.
  using OnRequest = std::function<std::string(const HttpRequest&, TlsPeer&)>;
  using OnWebSocket = std::function<void(const HttpRequest&, WsPeer&)>;

  FakeTlsServer() : server(*net::make_identity("incus")), client(*net::make_identity("locki")) {
    std::signal(SIGPIPE, SIG_IGN);
    ctx_ = SSL_CTX_new(TLS_server_method());
    BIO* bio = BIO_new_mem_buf(server.certificate_pem.data(), -1);
    X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = BIO_new_mem_buf(server.key_pem.data(), -1);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    SSL_CTX_use_certificate(ctx_, certificate);
    SSL_CTX_use_PrivateKey(ctx_, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    SSL_CTX_set_verify(ctx_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_session_id_context(ctx_, reinterpret_cast<const unsigned char*>("t"), 1);
    SSL_CTX_set_mode(ctx_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
  ~FakeTlsServer() {
    stop();
    SSL_CTX_free(ctx_);
  }
  // Ends all connections and waits for their threads: call it before what the handlers use goes away.
  void stop() {
    std::vector<std::thread> threads;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (TlsPeer* peer : peers_) peer->cut();
      threads.swap(threads_);
    }
    for (std::thread& thread : threads) thread.join();
  }

  net::TlsConfig config() const { return {client.certificate_pem, client.key_pem, server.certificate_pem}; }
  net::Connector connector() {
    return [this]() -> Result<sys::Fd> {
      TRY_ASSIGN(sys::SocketPair pair, sys::make_socketpair());
      ++connections;
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, fd = std::move(pair.a)]() mutable { serve(std::move(fd)); });
      return std::move(pair.b);
    };
  }

  net::Identity server, client;
  OnRequest on_request;
  OnWebSocket on_websocket;
  std::atomic<int> websockets_declined = 0;  // so many are answered with 404 first
  std::atomic<int> connections = 0, resumed = 0, requests = 0;

 private:
  void serve(sys::Fd fd) {
    TlsPeer peer(ctx_, std::move(fd));
    if (!peer.ok()) return;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      peers_.push_back(&peer);
    }
    if (peer.resumed()) ++resumed;
    std::string rest;
    while (serve_one(peer, rest)) {
    }
    const std::lock_guard lock(mutex_);
    std::erase(peers_, &peer);
  }

  bool serve_one(TlsPeer& peer, std::string& rest) {
    const auto head = peer.read_until("\r\n\r\n", rest);
    if (!head) return false;
    ++requests;
    HttpRequest request = parse(*head);
    if (auto key = request.headers.find("sec-websocket-key"); key != request.headers.end()) {
      if (websockets_declined.fetch_sub(1) > 0) return peer.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") && false;
      std::uint8_t digest[20];
      const std::string text = key->second + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
      EVP_Digest(text.data(), text.size(), digest, nullptr, EVP_sha1(), nullptr);
      peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64(digest) + "\r\n\r\n");
      WsPeer socket(peer, std::exchange(rest, {}));
      if (on_websocket) on_websocket(request, socket);
      return false;
    }
    if (auto length = request.headers.find("content-length"); length != request.headers.end()) {
      request.body_size = *parse_u64(length->second);
      const bool whole = peer.read_exact(rest, request.body_size, [&](std::string_view part) {
        if (request.body.size() < (64 << 10)) request.body += part;
      });
      if (!whole) return false;
    }
    const std::string answer = on_request(request, peer);
    return !answer.empty() && peer.write(answer);
  }

  static HttpRequest parse(const std::string& head) {
    HttpRequest request;
    const std::vector<std::string> lines = split(head, '\n');
    const std::vector<std::string> words = split(trim(lines[0]), ' ');
    request.method = words.at(0);
    request.target = words.at(1);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const std::size_t colon = lines[i].find(':');
      if (colon != std::string::npos) request.headers[ascii_lower(lines[i].substr(0, colon))] = std::string(trim(lines[i].substr(colon + 1)));
    }
    return request;
  }

  SSL_CTX* ctx_ = nullptr;
  std::mutex mutex_;
  bool stopping_ = false;
  std::vector<TlsPeer*> peers_;
  std::vector<std::thread> threads_;
};

}  // namespace locki::test
