#include "incus/client.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "incus/client_impl.h"
#include "incus/url.h"
#include "support/fake_incus.h"

namespace locki::incus {
namespace {

using test::async_answer;
using test::error_answer;
using test::http_response;
using test::HttpRequest;
using test::operation_answer;
using test::sync_answer;
using namespace std::chrono_literals;

class ClientTest : public testing::Test {
 protected:
  ClientTest() : client_(*Client::make(fake_.tls.config(), fake_.tls.connector())) {}
  // Keeps the body of the request for a look.
  void capture(const std::string& route, std::string answer) {
    fake_.on(route, [this, answer = std::move(answer)](const HttpRequest& r) {
      body_ = r.body;
      headers_ = r.headers;
      return answer;
    });
  }
  json::object body() { return *json::parse_object(body_); }

  std::string body_;
  std::map<std::string, std::string> headers_;
  test::FakeIncus fake_;
  Client client_;
};

constexpr std::string_view kInstance = R"({"name":"a","status":"Running","type":"container","description":"","ephemeral":false,
  "config":{"limits.cpu":"2"},"devices":{"eth0":{"type":"nic","network":"n"}},"expanded_config":null,"profiles":["p"],"architecture":"x86_64",
  "state":{"status":"Running","pid":7,"processes":3,"cpu":{"usage":5},"memory":{"usage":1024,"usage_peak":2048},"disk":{"root":{"usage":9}},
  "network":{"lo":{"addresses":[{"family":"inet","address":"127.0.0.1","scope":"global"}]},
  "eth0":{"state":"up","hwaddr":"aa","addresses":[{"family":"inet6","address":"fe80::1","scope":"link"},{"family":"inet","address":"10.1.2.3","scope":"global"}]}}}})";

TEST(Url, NothingEscapesItsSegment) {
  EXPECT_EQ(encoded("a/../b?c#d e"), "a%2F..%2Fb%3Fc%23d%20e");
  EXPECT_EQ(encoded(".."), "%2E.");
  EXPECT_EQ(encoded("ü"), "%C3%BC");
}

TEST(Operations, OnlyPlainIdsAreTaken) {
  EXPECT_EQ(*operation_id("/1.0/operations/6916c8a6-9b7d?project=default"), "6916c8a6-9b7d");
  for (const char* bad : {"", "/1.0/operations/", "/1.0/operations/../instances/a", "/1.0/operations/a/b", "http://x/1.0/operations/a", "/1.0/operations/a b"}) {
    EXPECT_FALSE(operation_id(bad)) << bad;
  }
}

TEST(Errors, KeepIncusWordsAndGetAKind) {
  EXPECT_EQ(incus_error(404, "Instance not found").kind(), ErrorKind::kNotFound);
  EXPECT_EQ(incus_error(400, "Failed creating: instance \"a\" already exists").kind(), ErrorKind::kExists);
  EXPECT_EQ(incus_error(500, "write /x: no space left on device").kind(), ErrorKind::kNoSpace);
  EXPECT_EQ(incus_error(403, "").kind(), ErrorKind::kPermission);
  EXPECT_EQ(incus_error(500, "a\x1b[2Jb").message().find('\x1b'), std::string::npos);
}

TEST_F(ClientTest, ReadsAnInstanceWithItsState) {
  fake_.on("GET /1.0/instances", sync_answer("[" + std::string(kInstance) + "]"));
  const auto list = client_.list_instances(true);
  ASSERT_TRUE(list) << list.error().describe();
  ASSERT_EQ(list->size(), 1u);
  const Instance& a = list->front();
  EXPECT_TRUE(a.running());
  EXPECT_EQ(a.config.at("limits.cpu"), "2");
  EXPECT_EQ(a.devices.at("eth0").at("network"), "n");
  EXPECT_EQ(a.state->memory_bytes, 1024);
  EXPECT_EQ(a.state->address(), "10.1.2.3");
  EXPECT_EQ(fake_.seen().back(), "GET /1.0/instances?recursion=2");
}

TEST_F(ClientTest, WrongTypesAreRefused) {
  for (const char* bad : {"null", "[]", "3", R"({"name":1,"status":"x"})", R"({"name":"a"})", R"({"name":"a","status":"x","config":{"a":1}})",
                          R"({"name":"a","status":"x","devices":{"eth0":"nic"}})", R"({"name":"a","status":"x","profiles":[{}]})",
                          R"({"name":"a","status":"x","state":{"status":"x","network":[]}})", R"({"name":"a","status":"x","config":[)"}) {
    fake_.on("GET /1.0/instances/a", sync_answer(bad));
    EXPECT_EQ(client_.instance("a").error().kind(), ErrorKind::kProtocol) << bad;
  }
}

TEST_F(ClientTest, BrokenEnvelopesAreRefused) {
  for (const char* bad : {"", "[]", "{}", R"({"type":1})", R"({"type":"strange"})", R"({"type":"async","operation":"/evil"})", "<html>"}) {
    fake_.on("GET /1.0/instances/a", http_response(200, bad));
    EXPECT_EQ(client_.instance("a").error().kind(), ErrorKind::kProtocol) << bad;
  }
  fake_.on("GET /1.0/instances/a", http_response(200, std::string(10'000, '[')));
  EXPECT_EQ(client_.instance("a").error().kind(), ErrorKind::kProtocol);
  fake_.on("GET /1.0/instances/a", http_response(502, "<html>"));
  EXPECT_EQ(client_.instance("a").error().kind(), ErrorKind::kUnavailable);
}

TEST_F(ClientTest, NamesCannotLeaveTheirPlace) {
  EXPECT_FALSE(client_.instance("../certificates?x"));
  EXPECT_EQ(fake_.seen().back(), "GET /1.0/instances/..%2Fcertificates%3Fx");
}

TEST_F(ClientTest, AbsentIsFalseButABrokenServerIsNot) {
  EXPECT_FALSE(*client_.instance_exists("a"));
  EXPECT_FALSE(client_.profile("a")->has_value());
  fake_.on("GET /1.0/instances/a", error_answer(500, "database is locked"));
  EXPECT_FALSE(client_.instance_exists("a"));
}

TEST_F(ClientTest, CreatingWaitsAndReportsProgress) {
  capture("POST /1.0/instances", async_answer("aa-1"));
  int calls = 0;
  fake_.on("GET /1.0/operations/aa-1/wait", [&](const HttpRequest&) {
    if (++calls < 3) return operation_answer("aa-1", 103, "", R"x({"create_instance_from_image_unpack_progress":"Unpack: 4)x" + std::to_string(calls) + R"x(% (3MB/s)"})x");
    return operation_answer("aa-1", 200);
  });
  std::vector<ProgressEvent> events;
  const auto done = client_.create_instance({.name = "a", .source = FromImage{.alias = "sandbox"}, .profiles = {"p"}, .config = {{"limits.cpu", "1"}}},
                                            {.progress = [&](const ProgressEvent& e) { events.push_back(e); }, .phase = "create"});
  ASSERT_TRUE(done) << done.error().describe();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].phase, "create");
  EXPECT_DOUBLE_EQ(*events[1].fraction, 0.42);
  EXPECT_EQ(json::serialize(body()["source"]), R"({"type":"image","alias":"sandbox"})");
  EXPECT_EQ(json::serialize(body()["profiles"]), R"(["p"])");
}

TEST_F(ClientTest, ACopyKeepsItsProfilesUnlessToldOtherwise) {
  capture("POST /1.0/instances", async_answer("aa"));
  fake_.on("GET /1.0/operations/aa/wait", operation_answer("aa", 200));
  ASSERT_TRUE(client_.create_instance({.name = "b", .source = FromInstance{"a"}}));
  EXPECT_FALSE(body().contains("profiles"));
  EXPECT_EQ(json::serialize(body()["source"]), R"({"type":"copy","source":"a","instance_only":true})");
}

TEST_F(ClientTest, AFailedOperationSaysWhy) {
  fake_.on("DELETE /1.0/instances/a", async_answer("aa"));
  fake_.on("GET /1.0/operations/aa/wait", operation_answer("aa", 400, "Instance is running"));
  const auto done = client_.delete_instance("a");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "Incus: Instance is running");
}

TEST_F(ClientTest, AnOperationThatNeverEndsTimesOut) {
  fake_.on("DELETE /1.0/instances/a", async_answer("aa"));
  fake_.on("GET /1.0/operations/aa/wait", [](const HttpRequest&) {
    std::this_thread::sleep_for(100ms);
    return operation_answer("aa", 103);
  });
  EXPECT_EQ(client_.delete_instance("a", {.timeout = 1s}).error().kind(), ErrorKind::kTimeout);
}

TEST_F(ClientTest, WaitingCanBeStoppedAndCancelsTheOperation) {
  fake_.on("DELETE /1.0/instances/a", async_answer("aa"));
  fake_.on("GET /1.0/operations/aa/wait", [](const HttpRequest&) {
    std::this_thread::sleep_for(1s);
    return operation_answer("aa", 103);
  });
  std::stop_source source;
  std::thread stopper([&] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  EXPECT_EQ(client_.delete_instance("a", {.stop = source.get_token()}).error().kind(), ErrorKind::kCancelled);
  stopper.join();
  EXPECT_EQ(fake_.seen().back(), "DELETE /1.0/operations/aa");
}

TEST_F(ClientTest, StartingARunningInstanceIsFine) {
  fake_.on("PUT /1.0/instances/a/state", error_answer(400, "The instance is already running"));
  fake_.on("GET /1.0/instances/a", sync_answer(std::string(kInstance)));
  EXPECT_TRUE(client_.start("a"));
  EXPECT_FALSE(client_.stop("a", true));
}

TEST_F(ClientTest, RemovingADeviceWritesTheRestBackUnderItsEtag) {
  int gets = 0;
  fake_.on("GET /1.0/instances/a", [&](const HttpRequest&) {
    std::string answer = sync_answer(std::string(kInstance));
    return answer.insert(answer.find("\r\n") + 2, "ETag: v" + std::to_string(++gets) + "\r\n");
  });
  int puts = 0;
  fake_.on("PUT /1.0/instances/a", [&](const HttpRequest& r) {
    body_ = r.body;
    EXPECT_EQ(r.headers.at("if-match"), "v" + std::to_string(gets));
    return ++puts == 1 ? error_answer(412, "Precondition failed") : async_answer("aa");
  });
  fake_.on("GET /1.0/operations/aa/wait", operation_answer("aa", 200));
  ASSERT_TRUE(client_.remove_device("a", "eth0"));
  EXPECT_EQ(puts, 2);
  EXPECT_EQ(json::serialize(body()["devices"]), "{}");
  EXPECT_EQ(json::serialize(body()["config"]), R"({"limits.cpu":"2"})");
  EXPECT_TRUE(client_.remove_device("a", "absent"));
  EXPECT_EQ(puts, 2);
}

TEST_F(ClientTest, AProfileIsMadeWhenThereIsNone) {
  capture("POST /1.0/profiles", sync_answer("{}"));
  ASSERT_TRUE(client_.put_profile({.name = "p", .config = {{"a", "b"}}, .devices = {{"root", {{"type", "disk"}}}}}));
  EXPECT_EQ(*json::get_string(body(), "name"), "p");
  EXPECT_EQ(json::serialize(body()["devices"]), R"({"root":{"type":"disk"}})");
}

TEST_F(ClientTest, PoolsNetworksAndVolumes) {
  capture("POST /1.0/storage-pools", sync_answer("{}"));
  ASSERT_TRUE(client_.create_storage_pool({.name = "data", .type = "btrfs", .config = {{"source", "/x"}}}));
  EXPECT_EQ(*json::get_string(body(), "driver"), "btrfs");
  capture("POST /1.0/networks", sync_answer("{}"));
  ASSERT_TRUE(client_.create_network({.name = "n"}));
  EXPECT_EQ(*json::get_string(body(), "type"), "bridge");
  capture("POST /1.0/storage-pools/data/volumes/custom", async_answer("aa"));
  fake_.on("GET /1.0/operations/aa/wait", operation_answer("aa", 200));
  ASSERT_TRUE(client_.copy_volume("data", "v", "w"));
  EXPECT_EQ(*json::get_string(*json::get_object(body(), "source"), "name"), "v");
  fake_.on("GET /1.0/storage-pools/data/volumes/custom", sync_answer(R"([{"name":"v","config":{},"type":"custom"}])"));
  EXPECT_EQ(client_.list_volumes("data")->at(0).name, "v");
  EXPECT_TRUE(client_.delete_volume("data", "absent"));
}

class ImageTest : public ClientTest {
 protected:
  ImageTest() : metadata_(file("meta")), rootfs_(file("root")) {
    fake_.on("GET /1.0/operations/aa/wait", operation_answer("aa", 200, "", R"({"fingerprint":"f00d"})"));
    capture("POST /1.0/images", async_answer("aa"));
    fake_.on("POST /1.0/images/aliases", [this](const HttpRequest& r) { return alias_ = r.body, sync_answer("{}"); });
  }
  static sys::Fd file(std::string_view text) {
    sys::Fd fd(memfd_create("image", MFD_CLOEXEC));
    EXPECT_TRUE(sys::write_all(fd.get(), text));
    lseek(fd.get(), 0, SEEK_SET);
    return fd;
  }
  sys::Fd metadata_, rootfs_;
  std::string alias_;
};

TEST_F(ImageTest, ASplitImageIsAForm) {
  const auto fingerprint = client_.import_image(
      {.metadata_fd = metadata_.get(), .metadata_size = 4, .rootfs_fd = rootfs_.get(), .rootfs_size = 4, .alias = "sandbox"});
  ASSERT_TRUE(fingerprint) << fingerprint.error().describe();
  EXPECT_EQ(*fingerprint, "f00d");
  const std::string type = headers_.at("content-type");
  const std::string boundary = "--" + type.substr(type.find('=') + 1);
  const auto part = [](const std::string& name) {
    return "Content-Disposition: form-data; name=\"" + name + "\"; filename=\"" + name + "\"\r\nContent-Type: application/octet-stream\r\n\r\n";
  };
  EXPECT_EQ(body_, boundary + "\r\n" + part("metadata") + "meta\r\n" + boundary + "\r\n" + part("rootfs") + "root\r\n" + boundary + "--\r\n");
  EXPECT_EQ(*json::get_string(*json::parse_object(alias_), "target"), "f00d");
}

TEST_F(ImageTest, AUnifiedImageIsItsBytes) {
  ASSERT_TRUE(client_.import_image({.metadata_fd = metadata_.get(), .metadata_size = 4}));
  EXPECT_EQ(body_, "meta");
  EXPECT_EQ(alias_, "");
}

TEST_F(ImageTest, AnImageThatIsThereOnlyGetsItsAlias) {
  fake_.on("GET /1.0/operations/aa/wait", operation_answer("aa", 400, "Image with same fingerprint already exists"));
  const auto fingerprint = client_.import_image(
      {.metadata_fd = metadata_.get(), .metadata_size = 4, .rootfs_fd = rootfs_.get(), .rootfs_size = 4, .alias = "sandbox"});
  ASSERT_TRUE(fingerprint) << fingerprint.error().describe();
  // printf metaroot | sha256sum
  EXPECT_EQ(*fingerprint, "e0cf642cb0d3e186cf613398341be54a385c45f650c077942a80fc6b6409903c");
}

TEST_F(ClientTest, PushesAFileWithItsOwner) {
  capture("POST /1.0/instances/a/files", sync_answer("{}"));
  ASSERT_TRUE(client_.push_file("a", {.path = "/etc/x y", .content = "hello", .uid = 1000, .gid = 100, .mode = 0640}));
  EXPECT_EQ(body_, "hello");
  EXPECT_EQ(headers_.at("x-incus-mode"), "0640");
  EXPECT_EQ(headers_.at("x-incus-uid"), "1000");
  EXPECT_EQ(headers_.at("x-incus-type"), "file");
  EXPECT_EQ(fake_.seen().back(), "POST /1.0/instances/a/files?path=%2Fetc%2Fx%20y");
  EXPECT_EQ(client_.push_file("a", {.path = "etc"}).error().kind(), ErrorKind::kUsage);
}

TEST_F(ClientTest, PullsBoundedAndStrictly) {
  const std::string headers = "X-Incus-uid: 5\r\nX-Incus-gid: 6\r\nX-Incus-mode: 0755\r\nX-Incus-type: file\r\n";
  fake_.on("GET /1.0/instances/a/files", http_response(200, "body", headers));
  const auto file = client_.pull_file("a", "/x");
  ASSERT_TRUE(file) << file.error().describe();
  EXPECT_EQ(file->content, "body");
  EXPECT_EQ(file->mode, 0755u);
  EXPECT_EQ(client_.pull_file("a", "/x", 3).error().kind(), ErrorKind::kNoSpace);
  fake_.on("GET /1.0/instances/a/files", http_response(200, "body"));
  EXPECT_EQ(client_.pull_file("a", "/x").error().kind(), ErrorKind::kProtocol);
  fake_.on("GET /1.0/instances/a/files", error_answer(404, "Not Found"));
  EXPECT_EQ(client_.pull_file("a", "/x").error().kind(), ErrorKind::kNotFound);
  const std::string directory = "X-Incus-uid: 5\r\nX-Incus-gid: 6\r\nX-Incus-mode: 0755\r\nX-Incus-type: directory\r\n";
  fake_.on("GET /1.0/instances/a/files", http_response(200, R"({"type":"sync","metadata":["a","b"]})", directory));
  EXPECT_EQ(client_.pull_file("a", "/x")->entries, (std::vector<std::string>{"a", "b"}));
}

TEST_F(ClientTest, WaitsUntilIncusAnswersAndTrustsUs) {
  int calls = 0;
  fake_.on("GET /1.0", [&](const HttpRequest&) {
    if (++calls == 1) return error_answer(503, "Incus is starting");
    return sync_answer(calls == 2 ? R"({"auth":"untrusted","api_extensions":[]})"
                                  : R"({"auth":"trusted","api_extensions":["x"],"environment":{"server_version":"6.0.4"}})");
  });
  EXPECT_TRUE(client_.wait_ready(10s));
  EXPECT_EQ(calls, 3);
  const auto server = client_.server();
  ASSERT_TRUE(server);
  EXPECT_EQ(server->version, "6.0.4");
  EXPECT_TRUE(server->has("x"));
}

TEST_F(ClientTest, WaitsForAnyAnswerOfAKnownServer) {
  int calls = 0;
  fake_.on("GET /", [&](const HttpRequest&) { return ++calls == 1 ? error_answer(503, "busy") : sync_answer(R"(["/1.0"])"); });
  EXPECT_TRUE(client_.wait_answer(10s));
  EXPECT_EQ(calls, 2);
  client_.drop_connections();
  EXPECT_TRUE(client_.wait_answer(10s));
  EXPECT_GT(fake_.tls.resumed, 0);
}

TEST_F(ClientTest, WaitingForIncusEnds) {
  auto client = Client::make(fake_.tls.config(), []() -> Result<sys::Fd> { return fail(ErrorKind::kUnavailable, "nobody there"); });
  const auto ready = client->wait_ready(300ms);
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind(), ErrorKind::kTimeout);
  EXPECT_NE(ready.error().message().find("nobody there"), std::string::npos);
}

}  // namespace
}  // namespace locki::incus
