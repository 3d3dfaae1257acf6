#include "gate/http_head.h"

#include <gtest/gtest.h>

namespace locki::gate {
namespace {

using State = HeadResult::State;
using namespace std::string_literals;

RequestHead good(std::string_view text) {
  HeadResult result = parse_request_head(text);
  EXPECT_EQ(result.state, State::kComplete) << text << ": " << result.reason;
  return result.head;
}
int status_of(std::string_view text) {
  const HeadResult result = parse_request_head(text);
  EXPECT_EQ(result.state, State::kBad) << text;
  return result.status;
}

TEST(RequestHead, Connect) {
  const RequestHead head =
      good("CONNECT Api.Example.ORG:443 HTTP/1.1\r\nHost: whatever\r\nProxy-Authorization: Basic eA==\r\n\r\n");
  EXPECT_TRUE(head.connect);
  EXPECT_EQ(head.target.to_string(), "api.example.org:443");
  EXPECT_EQ(parse_request_head("CONNECT a.example:443 HTTP/1.1\r\n\r\nrest").size, 34u);
}

TEST(RequestHead, AbsoluteFormBecomesOriginForm) {
  const RequestHead head = good(
      "GET http://A.Example:80/x/y?z=1#frag HTTP/1.1\r\nHost: evil.example\r\nAccept: */*\r\nConnection: keep-alive, "
      "X-Private\r\nX-Private: 1\r\n"
      "Proxy-Connection: keep-alive\r\nProxy-Authorization: secret\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: "
      "5\r\n\r\n");
  EXPECT_EQ(head_for_origin(head),
            "GET /x/y?z=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(head_for_upstream(head, "Basic eA=="),
            "GET http://a.example/x/y?z=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nProxy-Authorization: Basic "
            "eA==\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(good("GET http://a.example HTTP/1.0\r\n\r\n").path, "/");
  EXPECT_EQ(good("GET http://a.example?q HTTP/1.1\r\n\r\n").path, "/?q");
  EXPECT_NE(head_for_origin(good("GET http://a.example:8080/ HTTP/1.1\r\n\r\n")).find("Host: a.example:8080\r\n"),
            std::string::npos);
}

TEST(RequestHead, AWebSocketIsAskedForAndNoOtherProtocol) {
  const std::string get = "GET http://a.example/chat HTTP/1.1\r\n", key = "Sec-WebSocket-Key: eA==\r\n\r\n";
  const RequestHead head = good(get + "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n" + key);
  EXPECT_TRUE(head.websocket);
  EXPECT_EQ(head_for_origin(head),
            "GET /chat HTTP/1.1\r\nHost: a.example\r\nSec-WebSocket-Key: eA==\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(head_for_upstream(head, "").find("Upgrade"), std::string::npos);
  for (const std::string& other : {get + "Connection: Upgrade\r\nUpgrade: h2c\r\n", get + "Upgrade: websocket\r\n", get + "Connection: Upgrade\r\n",
                                  get + "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
                                  get + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
                                  get + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
                                  "POST http://a.example/chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"s,
                                  "GET http://a.example/chat HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"s}) {
    EXPECT_FALSE(good(other + key).websocket) << other;
    EXPECT_EQ(head_for_origin(good(other + key)).find("Upgrade"), std::string::npos) << other;
  }
}

TEST(RequestHead, TheHeadersThatFrameTheBodyCannotBeDropped) {
  const std::string text = head_for_origin(
      good("POST http://a.example/ HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_NE(text.find("Content-Length: 5\r\n"), std::string::npos);
}

TEST(RequestHead, EveryPrefixIsIncomplete) {
  const std::string whole = "GET http://a.example/ HTTP/1.1\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(parse_request_head(whole.substr(0, size)).state, State::kIncomplete) << size;
    EXPECT_EQ(parse_request_head(whole, size).state, State::kComplete) << size;
  }
}

TEST(RequestHead, WhatCouldBeReadInTwoWaysIsRefused) {
  const std::string get = "GET http://a.example/ HTTP/1.1\r\n", post = "POST http://a.example/ HTTP/1.1\r\n";
  EXPECT_EQ(status_of(get + "A : b\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get + " A: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get + "A: b\r\n folded\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get + "A: b\nHost: c\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get + "A: b\rc\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get + std::string("A: b\0c\r\n\r\n", 10)), 400);
  EXPECT_EQ(status_of(get + "no colon\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: +5\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 5, 5\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
  EXPECT_EQ(status_of("POST http://a.example/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), 400);
}

TEST(RequestHead, TargetsThatAreNotForAProxyAreRefused) {
  for (const char* target : {"/", "*", "/x", "https://a.example/", "ftp://a.example/", "http://user@a.example/",
                             "http://a.example@b.example/", "http:///x", "http://a_b.example/", "http://a.example:0/",
                             "http://a.example:/", "http://127.1/", "http://a.example%00.b/", "http://a.example./"})
    EXPECT_EQ(status_of("GET " + std::string(target) + " HTTP/1.1\r\n\r\n"), 400) << target;
  for (const char* target :
       {"a.example", "http://a.example:443", "a.example:443/", "a.example:443:80", "[::1", "a.example:", "a b:443"})
    EXPECT_EQ(status_of("CONNECT " + std::string(target) + " HTTP/1.1\r\n\r\n"), 400) << target;
  EXPECT_EQ(status_of("GET http://a.example/ HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET  http://a.example/ HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("\x16\x03\x01"), 400);
  EXPECT_EQ(status_of("GET http://a.example/" + std::string(20000, 'x') + " HTTP/1.1\r\n\r\n"), 414);
}

TEST(RequestHead, ManyHeadersAreRefused) {
  std::string text = "GET http://a.example/ HTTP/1.1\r\n";
  for (int i = 0; i < 200; ++i) text += "A: b\r\n";
  EXPECT_EQ(status_of(text + "\r\n"), 431);
}

TEST(BodyFramer, LengthAndNone) {
  BodyFramer none(good("GET http://a.example/ HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(none.done());
  EXPECT_EQ(none.take("GET "), 0u);
  BodyFramer five(good("POST http://a.example/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_EQ(five.take("abc"), 3u);
  EXPECT_FALSE(five.done());
  EXPECT_EQ(five.take("deGET http://"), 2u);
  EXPECT_TRUE(five.done());
}

TEST(BodyFramer, ChunksInEveryCut) {
  const RequestHead head = good("POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string body = "5;x=y\r\nhello\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", next = "GET /";
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    BodyFramer framer(head);
    EXPECT_EQ(framer.take(body.substr(0, cut)), cut);
    EXPECT_EQ(framer.take(body.substr(cut) + next), body.size() - cut);
    EXPECT_TRUE(framer.done());
  }
}

TEST(BodyFramer, MalformedChunksAreRefused) {
  const RequestHead head = good("POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char* body : {"x\r\n", "\r\n", "5\nhello", "5\r\nhelloX", "5\r\nhello\n", "-1\r\n", "0x5\r\n", "5 \r\n",
                           "ffffffffffffffffff\r\n", "0\r\n\n", "5\r\nhello\r\r\n"}) {
    BodyFramer framer(head);
    EXPECT_FALSE(framer.take(body)) << body;
  }
  BodyFramer framer(head);
  EXPECT_FALSE(framer.take("0;" + std::string(20000, 'x')));
}

TEST(Refusal, IsOneSafeLine) {
  const std::string text = refusal(403, "locki: a\r\nSet-Cookie: x\x1b[2J");
  EXPECT_EQ(text.find("\r\nSet-Cookie"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_TRUE(text.starts_with("HTTP/1.1 403 locki: a"));
}

TEST(ReplyHead, OnlyWhatAProxyAnswers) {
  EXPECT_EQ(parse_reply_head("HTTP/1.1 200 OK\r\n\r\nrest").status, 200);
  EXPECT_EQ(parse_reply_head("HTTP/1.0 407\r\n\r\n").status, 407);
  EXPECT_EQ(parse_reply_head("HTT").state, State::kIncomplete);
  for (const char* text :
       {"SSH-2.0", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/1.1  200 x\r\n\r\n", "HTTP/1.\r\n\r\n"})
    EXPECT_EQ(parse_reply_head(text).state, State::kBad) << text;
}

}  // namespace
}  // namespace locki::gate
