// HTTP/1.1 over pinned TLS, for one peer. Thread-safe: every request takes an idle connection from a small pool or makes one.
//
// The peer is hostile: header block (64 KiB), body and time are bounded, a malformed answer is kProtocol and ends the connection.
// Connections are kept for reuse for at most 20 s (incusd closes idle ones after 30); a kept one is checked before it is used, and an
// idempotent request (GET, HEAD, PUT, DELETE) that still finds it dead, before any byte of an answer, is repeated once on a fresh one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "net/tls.h"

namespace locki::net {

// One piece of a request body: the text, or (fd >= 0) exactly `length` bytes read from the descriptor's current position, which is
// borrowed. Several pieces are sent one after the other, so a multipart form around a gigabyte file costs no memory.
struct BodyPart {
  std::string text;
  int fd = -1;
  std::uint64_t length = 0;  // of the descriptor's part
};

struct Request {
  std::string method = "GET";
  std::string target;                          // origin form, already encoded: "/1.0/instances?recursion=1"
  std::map<std::string, std::string> headers;  // beyond Host, Content-Length, User-Agent; CR and LF are refused
  std::vector<BodyPart> body;
  // From the last byte sent to the last byte of the answer.
  std::chrono::milliseconds timeout{60'000};
  // The longest time in which an upload may make no progress at all.
  std::chrono::milliseconds stall_timeout{120'000};
  std::size_t max_response_bytes = 16 << 20;
  // >= 0: the body of a 2xx answer goes here (borrowed) instead of into memory; other bodies still go into memory.
  int response_fd = -1;
  // Bytes of the body sent so far, and how many there are. Called at most some times a second, on the requesting thread.
  std::function<void(std::uint64_t sent, std::uint64_t total)> on_upload;
  // Ends the request with kCancelled within a fraction of a second.
  std::stop_token stop;
};

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; a repeated one holds the last value
  std::string body;
  std::uint64_t body_bytes = 0;
};

class HttpClient {
 public:
  HttpClient(std::shared_ptr<TlsContext> tls, Connector connect);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // Any HTTP status is a Response. Errors: the connector's own; kPermission when the peer's certificate is not the pinned one;
  // kUnavailable when the connection ends too early; kTimeout; kProtocol; kNoSpace for a body beyond its limit; kCancelled.
  Result<Response> request(const Request& request);

  // Closes kept connections, for instance after the peer was suspended.
  void drop_idle();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace locki::net
