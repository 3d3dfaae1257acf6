// The untyped half of the client: requests, Incus' answer envelope, background operations. For incus/ only. Thread-safe.
#pragma once

#include <string>

#include "incus/client.h"
#include "net/http_client.h"

namespace locki::incus {

struct Answer {
  json::value metadata;
  std::string operation;  // the id of the background operation; empty: it is done
  std::string etag;
};

struct Client::Impl {
  Impl(std::shared_ptr<net::TlsContext> context, net::Connector connector)
      : tls(context), connect(connector), http(std::move(context), std::move(connector)) {}

  std::shared_ptr<net::TlsContext> tls;
  net::Connector connect;
  net::HttpClient http;

  // One request; an answer of type "error" is an Error. The body of an answer is at most max_response_bytes of JSON.
  Result<Answer> send(net::Request request);
  Result<Answer> send(std::string_view method, std::string target, const json::value* body = nullptr, std::string if_match = "");
  Result<json::value> get(std::string target);
  // kNotFound becomes "nothing".
  Result<std::optional<json::value>> find(std::string target);
  // Sends and waits for the operation if there is one. Returns the metadata of the answer, or of the finished operation.
  Result<json::value> run(std::string_view method, std::string target, const json::value* body = nullptr, const WaitOptions& wait = {});
  Result<> run_void(std::string_view method, std::string target, const json::value* body = nullptr, const WaitOptions& wait = {});
  // The finished operation as Incus shows it. An operation that failed is an error with Incus' own words.
  // `cancel_too`: a wait that is stopped asks Incus to cancel the operation.
  Result<json::object> wait_operation(std::string_view id, const WaitOptions& wait, bool cancel_too = true);
};

// Incus' words and number as our error. Pure.
Error incus_error(std::int64_t code, std::string_view text);
// The answer's envelope, of a server that is not trusted. Pure.
Result<Answer> parse_answer(int http_status, std::string_view body, std::size_t limit);
// The id in "/1.0/operations/ID?project=…"; kProtocol when it is not a plain one. Pure.
Result<std::string> operation_id(std::string_view url);

}  // namespace locki::incus
