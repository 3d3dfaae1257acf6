#include "net/http_client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/fake_tls_server.h"

namespace locki::net {
namespace {

using test::http_response;
using test::HttpRequest;
using test::TlsPeer;
using namespace std::chrono_literals;

class Http : public testing::Test {
 protected:
  Http() {
    server_.on_request = [](const HttpRequest& r, TlsPeer&) { return http_response(200, r.method + " " + r.target + " " + r.body); };
  }
  ~Http() override { server_.stop(); }
  HttpClient client(const TlsConfig& config) { return HttpClient(*TlsContext::make(config), server_.connector()); }
  HttpClient client() { return client(server_.config()); }
  void answer(std::string raw) {
    server_.on_request = [raw = std::move(raw)](const HttpRequest&, TlsPeer&) { return raw; };
  }
  Result<Response> get(Request request = {.target = "/"}) {
    HttpClient http = client();
    return http.request(request);
  }
  test::FakeTlsServer server_;
};

TEST_F(Http, SendsAndReceives) {
  auto response = get({.method = "POST", .target = "/a?b=c", .body = {{.text = "hel"}, {.text = "lo"}}});
  ASSERT_TRUE(response) << response.error().describe();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "POST /a?b=c hello");
}

TEST_F(Http, AnotherCertificateIsRefusedBeforeAnythingIsSent) {
  TlsConfig config = server_.config();
  config.pinned_server_cert_pem = make_identity("incus")->certificate_pem;  // the same name does not help
  HttpClient http = client(config);
  const auto response = http.request({.target = "/"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kPermission);
  EXPECT_EQ(server_.requests, 0);
}

TEST_F(Http, AForeignKeyForOurCertificateIsRefused) {
  TlsConfig config = server_.config();
  config.client_key_pem = make_identity("locki")->key_pem;
  EXPECT_EQ(TlsContext::make(config).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(Http, ConnectionsAreKeptAndSessionsResumed) {
  HttpClient http = client();
  ASSERT_TRUE(http.request({.target = "/1"}));
  ASSERT_TRUE(http.request({.target = "/2"}));
  EXPECT_EQ(server_.connections, 1);
  http.drop_idle();
  ASSERT_TRUE(http.request({.target = "/3"}));
  EXPECT_EQ(server_.connections, 2);
  EXPECT_EQ(server_.resumed, 1);
}

TEST_F(Http, AnotherProcessTakesUpASession) {
  const auto first = *TlsContext::make(server_.config());
  EXPECT_EQ(first->ticket(), "");
  HttpClient before(first, server_.connector());
  ASSERT_TRUE(before.request({.target = "/1"}));
  TlsConfig config = server_.config();
  config.ticket = first->ticket();
  ASSERT_NE(config.ticket, "");
  EXPECT_TRUE(client(config).request({.target = "/2"}));
  EXPECT_EQ(server_.resumed, 1);

  TlsConfig cut = config;
  cut.ticket.resize(cut.ticket.size() / 2);
  EXPECT_TRUE(client(cut).request({.target = "/3"}));
  EXPECT_EQ(server_.resumed, 1);

  // The pin holds for what is resumed, too.
  const int requests = server_.requests;
  config.pinned_server_cert_pem = make_identity("incus")->certificate_pem;
  const auto response = client(config).request({.target = "/4"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kPermission);
  EXPECT_EQ(server_.requests, requests);
}

TEST_F(Http, AKeptConnectionThatDiedIsReplaced) {
  HttpClient http = client();
  std::atomic<int> count = 0;
  server_.on_request = [&](const HttpRequest&, TlsPeer&) { return ++count == 2 ? std::string() : http_response(200, "ok"); };
  ASSERT_TRUE(http.request({.target = "/"}));
  EXPECT_TRUE(http.request({.target = "/"}));  // cut without an answer: repeated on a new connection
  EXPECT_EQ(count, 3);
  EXPECT_EQ(server_.connections, 2);
}

TEST_F(Http, ARequestThatChangesSomethingIsNotRepeated) {
  HttpClient http = client();
  std::atomic<int> count = 0;
  server_.on_request = [&](const HttpRequest&, TlsPeer&) { return ++count == 2 ? std::string() : http_response(200, "ok"); };
  ASSERT_TRUE(http.request({.method = "POST", .target = "/"}));
  const auto second = http.request({.method = "POST", .target = "/"});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(count, 2);
}

TEST_F(Http, AConnectionThatTheServerClosedIsNoticedBeforehand) {
  HttpClient http = client();
  ASSERT_TRUE(http.request({.target = "/"}));
  std::atomic<int> posts = 0;
  answer(http_response(200, "bye", "Connection: close\r\n"));
  ASSERT_TRUE(http.request({.target = "/"}));
  server_.on_request = [&](const HttpRequest&, TlsPeer&) { return ++posts, http_response(200, "ok"); };
  EXPECT_TRUE(http.request({.method = "POST", .target = "/"}));
  EXPECT_EQ(posts, 1);
  EXPECT_EQ(server_.connections, 2);
}

TEST_F(Http, UploadsADescriptorWithoutHoldingIt) {
  constexpr std::uint64_t kSize = 300 << 20;
  sys::Fd file(memfd_create("upload", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), kSize), 0);  // a hole: costs nothing here either
  std::atomic<std::uint64_t> got = 0;
  server_.on_request = [&](const HttpRequest& r, TlsPeer&) { return got = r.body_size, http_response(200, "ok"); };
  std::uint64_t told = 0;
  Request request{.method = "POST", .target = "/", .body = {{.text = "head"}, {.fd = file.get(), .length = kSize}, {.text = "tail"}}};
  request.on_upload = [&](std::uint64_t sent, std::uint64_t total) {
    EXPECT_GE(sent, told);
    EXPECT_EQ(total, kSize + 8);
    told = sent;
  };
  const auto response = get(request);
  ASSERT_TRUE(response) << response.error().describe();
  EXPECT_EQ(got, kSize + 8);
  EXPECT_EQ(told, kSize + 8);
}

TEST_F(Http, AnUploadThatEndsEarlyIsAnError) {
  sys::Fd file(memfd_create("upload", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), 1000), 0);
  EXPECT_FALSE(get({.method = "POST", .target = "/", .body = {{.fd = file.get(), .length = 2000}}}));
}

TEST_F(Http, AStalledServerTimesOut) {
  server_.on_request = [](const HttpRequest&, TlsPeer&) {
    std::this_thread::sleep_for(600ms);
    return http_response(200, "late");
  };
  Request request{.target = "/"};
  request.timeout = 100ms;
  EXPECT_EQ(get(request).error().kind(), ErrorKind::kTimeout);
}

TEST_F(Http, ATricklingServerTimesOut) {
  server_.on_request = [](const HttpRequest&, TlsPeer& peer) {
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (peer.write("x")) std::this_thread::sleep_for(20ms);
    return std::string();
  };
  Request request{.target = "/"};
  request.timeout = 300ms;
  EXPECT_EQ(get(request).error().kind(), ErrorKind::kTimeout);
}

TEST_F(Http, CanBeStopped) {
  server_.on_request = [](const HttpRequest&, TlsPeer&) {
    std::this_thread::sleep_for(1s);
    return std::string();
  };
  std::stop_source source;
  Request request{.target = "/"};
  request.stop = source.get_token();
  std::thread stopper([&] {
    std::this_thread::sleep_for(50ms);
    source.request_stop();
  });
  EXPECT_EQ(get(request).error().kind(), ErrorKind::kCancelled);
  stopper.join();
}

TEST_F(Http, HostileHeadersAreBounded) {
  server_.on_request = [](const HttpRequest&, TlsPeer& peer) {
    peer.write("HTTP/1.1 200 OK\r\nX: ");
    while (peer.write(std::string(4096, 'x'))) {
    }
    return std::string();
  };
  EXPECT_EQ(get().error().kind(), ErrorKind::kProtocol);
}

TEST_F(Http, NeverEndingChunkedBodiesAreBounded) {
  server_.on_request = [](const HttpRequest&, TlsPeer& peer) {
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.write("1000\r\n" + std::string(4096, 'x') + "\r\n")) {
    }
    return std::string();
  };
  Request request{.target = "/"};
  request.max_response_bytes = 1 << 20;
  EXPECT_EQ(get(request).error().kind(), ErrorKind::kNoSpace);
}

TEST_F(Http, NeverEndingChunkExtensionsAreBounded) {
  server_.on_request = [](const HttpRequest&, TlsPeer& peer) {
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    while (peer.write(std::string(4096, 'x'))) {
    }
    return std::string();
  };
  EXPECT_FALSE(get());
}

TEST_F(Http, AnnouncedSizesAreNotBelieved) {
  answer("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n");
  EXPECT_EQ(get().error().kind(), ErrorKind::kNoSpace);
}

TEST_F(Http, ACutBodyIsAnError) {
  server_.on_request = [](const HttpRequest&, TlsPeer& peer) {
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    return std::string();
  };
  EXPECT_EQ(get().error().kind(), ErrorKind::kUnavailable);
}

TEST_F(Http, GarbageIsAProtocolError) {
  answer("SSH-2.0-OpenSSH\r\n\r\n");
  EXPECT_EQ(get().error().kind(), ErrorKind::kProtocol);
}

TEST_F(Http, EndlessInterimAnswersEnd) {
  server_.on_request = [](const HttpRequest&, TlsPeer& peer) {
    while (peer.write("HTTP/1.1 103 Early Hints\r\n\r\n")) {
    }
    return std::string();
  };
  EXPECT_EQ(get().error().kind(), ErrorKind::kProtocol);
}

TEST_F(Http, ChunkedBodiesAndInterimAnswersWork) {
  answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  const auto response = get();
  ASSERT_TRUE(response) << response.error().describe();
  EXPECT_EQ(response->body, "abcde");
}

TEST_F(Http, ABodyCanGoToADescriptor) {
  answer(http_response(200, std::string(200'000, 'z')));
  sys::Fd file(memfd_create("body", MFD_CLOEXEC));
  Request request{.target = "/"};
  request.response_fd = file.get();
  const auto response = get(request);
  ASSERT_TRUE(response) << response.error().describe();
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(response->body_bytes, 200'000u);
  EXPECT_EQ(lseek(file.get(), 0, SEEK_END), 200'000);
}

TEST_F(Http, NothingCanBeSmuggledIntoARequest) {
  EXPECT_EQ(get({.target = "/a\r\nX: y"}).error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(get({.target = "/a b"}).error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(get({.target = "/", .headers = {{"X", "a\r\nY: b"}}}).error().kind(), ErrorKind::kUsage);
  EXPECT_EQ(server_.connections, 0);
}

TEST_F(Http, ThreadsShareOneClient) {
  HttpClient http = client();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string target = "/" + std::to_string(t * 100 + i);
        auto response = http.request({.target = target});
        if (response && response->body == "GET " + target + " ") ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 100);
  EXPECT_LE(server_.connections, 8);
}

}  // namespace
}  // namespace locki::net
