// Reads one HTTP response off a TLS connection, bounded in every direction. For net/*.cc only; one use.
#pragma once

#include "net/http_client.h"
#include "net/tls_connection.h"

namespace locki::net {

class ResponseReader {
 public:
  explicit ResponseReader(const Request& request) : request_(request) {}
  Result<Response> read(TlsConnection& connection, const Until& until);
  bool started() const { return started_; }  // at least one byte came
  bool keep_alive() const { return keep_alive_; }

 private:
  Result<> read_more(TlsConnection& connection, const Until& until);

  const Request& request_;
  std::string input_;  // what came and is not parsed yet
  bool started_ = false;
  bool ended_ = false;
  bool keep_alive_ = false;
};

}  // namespace locki::net
