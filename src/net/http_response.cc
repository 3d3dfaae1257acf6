#include "net/http_response.h"

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace locki::net {
namespace {

namespace http = boost::beast::http;
using Parser = http::response_parser<http::buffer_body>;

constexpr std::size_t kMaxHeader = 64 << 10;
// What may wait unparsed: a header block, or one chunk's header line.
constexpr std::size_t kMaxInput = kMaxHeader + (64 << 10);
constexpr int kMaxInterim = 8;  // 1xx answers before the real one

Result<> deliver(const Request& request, bool to_descriptor, ByteView piece, Response& response) {
  response.body_bytes += piece.size();
  if (response.body_bytes > request.max_response_bytes) {
    return fail(ErrorKind::kNoSpace, "the server's answer is larger than " + human_bytes(request.max_response_bytes));
  }
  if (to_descriptor) return sys::write_all(request.response_fd, piece);
  response.body.append(as_text(piece));
  return {};
}

void copy_header(const Parser& parser, Response& response) {
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) {
    response.headers[ascii_lower({field.name_string().data(), field.name_string().size()})] = std::string(field.value().data(), field.value().size());
  }
}

}  // namespace

Result<> ResponseReader::read_more(TlsConnection& connection, const Until& until) {
  if (ended_) return fail(ErrorKind::kUnavailable, "the server closed the connection in the middle of its answer");
  if (input_.size() >= kMaxInput) return fail(ErrorKind::kProtocol, "a header of the server's answer is too long");
  const std::size_t old = input_.size();
  input_.resize(old + (32 << 10));
  auto got = connection.read_some(reinterpret_cast<std::uint8_t*>(input_.data()) + old, input_.size() - old, until);
  input_.resize(old + (got ? *got : 0));
  if (!got) return fail(std::move(got).error());
  ended_ = *got == 0;
  started_ = started_ || *got > 0;
  if (!started_) return fail(ErrorKind::kUnavailable, "the server closed the connection without an answer");
  return {};
}

Result<Response> ResponseReader::read(TlsConnection& connection, const Until& until) {
  std::uint8_t piece[32 << 10];
  for (int interim = 0; interim <= kMaxInterim; ++interim) {
    Parser parser;
    parser.header_limit(kMaxHeader);
    parser.body_limit(request_.max_response_bytes);
    parser.eager(true);
    if (request_.method == "HEAD") parser.skip(true);
    Response response;
    while (!parser.is_done()) {
      // The total time is bounded even while bytes keep trickling in.
      if (std::chrono::steady_clock::now() > until.deadline) return fail(ErrorKind::kTimeout, "the server's answer did not end in time");
      auto& body = parser.get().body();
      body.data = piece;
      body.size = sizeof piece;
      boost::system::error_code error;
      std::size_t used = 0;
      if (!input_.empty()) {
        used = parser.put(boost::asio::buffer(input_), error);
      } else if (ended_) {
        parser.put_eof(error);
        if (error) return fail(ErrorKind::kUnavailable, "the server closed the connection in the middle of its answer");
      } else {
        error = http::error::need_more;
      }
      input_.erase(0, used);
      if (parser.is_header_done() && response.status == 0) copy_header(parser, response);
      const bool to_descriptor = request_.response_fd >= 0 && response.status / 100 == 2;
      TRY(deliver(request_, to_descriptor, ByteView(piece, sizeof piece - body.size), response));
      if (error == http::error::need_buffer) continue;
      if (error == http::error::body_limit) {
        return fail(ErrorKind::kNoSpace, "the server's answer is larger than " + human_bytes(request_.max_response_bytes));
      }
      if (error && error != http::error::need_more) return fail(ErrorKind::kProtocol, "not an HTTP answer: " + error.message());
      if (error == http::error::need_more || (used == 0 && !parser.is_done())) TRY(read_more(connection, until));
    }
    if (response.status >= 100 && response.status < 200 && response.status != 101) continue;
    keep_alive_ = parser.keep_alive() && input_.empty() && !ended_;
    return response;
  }
  return fail(ErrorKind::kProtocol, "the server sends interim answers only");
}

}  // namespace locki::net
