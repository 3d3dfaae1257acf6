#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "incus/client.h"
#include "support/fake_incus.h"
#include "sys/fd.h"

namespace locki::incus {
namespace {

using namespace std::chrono_literals;

std::string random_bytes(std::size_t size) {
  std::mt19937_64 engine(size);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(engine());
  return bytes;
}

class Exec : public testing::Test {
 protected:
  Exec() : client_(*Client::make(fake_.tls.config(), fake_.tls.connector())) {}

  static ExecRequest shell(std::string script) {
    return {.argv = {"/bin/sh", "-c", std::move(script)}, .environment = {{"PATH", "/usr/bin:/bin"}}};
  }
  static void wait_for_byte(const sys::Fd& pipe) {
    std::uint8_t byte = 0;
    EXPECT_TRUE(sys::read_exact(pipe.get(), &byte, 1));
  }
  RunOptions options() {
    RunOptions o;
    o.environment = {{"PATH", "/usr/bin:/bin"}};
    return o;
  }

  test::FakeIncus fake_;
  Client client_;
};

TEST_F(Exec, GivesOutputsAndStatus) {
  const auto result = client_.run("box", {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"}, options());
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 7);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
}

TEST_F(Exec, IsByteExactBothWaysAndPassesTheEnd) {
  RunOptions o = options();
  o.input = random_bytes(3 << 20);
  o.max_output = 16 << 20;
  const auto result = client_.run("box", {"/bin/cat"}, o);
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 0);
  EXPECT_TRUE(result->out == o.input);
}

TEST_F(Exec, AnEmptyInputEndsAtOnce) {
  EXPECT_EQ(client_.run("box", {"/bin/cat"}, options())->out, "");
}

TEST_F(Exec, RunOkTellsWhatTheCommandSaid) {
  const auto result = client_.run_ok("box", {"/bin/sh", "-c", "echo no such thing >&2; exit 3"}, options());
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("no such thing"), std::string::npos);
  EXPECT_NE(result.error().message().find("status 3"), std::string::npos);
}

TEST_F(Exec, TooMuchOutputInMemoryEndsTheCommand) {
  RunOptions o = options();
  o.max_output = 100'000;
  EXPECT_EQ(client_.run("box", {"/bin/cat", "/dev/zero"}, o).error().kind(), ErrorKind::kNoSpace);
  EXPECT_TRUE(fake_.running().wait_over(5s));
}

TEST_F(Exec, ATimeoutKillsTheCommand) {
  RunOptions o = options();
  o.timeout = 1500ms;  // long enough for the command to have begun
  EXPECT_EQ(client_.run("box", {"/bin/sleep", "60"}, o).error().kind(), ErrorKind::kTimeout);
  EXPECT_TRUE(fake_.running().wait_over(5s));
  EXPECT_TRUE(fake_.running().killed());
}

TEST_F(Exec, PipesFilesAndNullWorkAsDescriptors) {
  const std::string input = random_bytes(5 << 20);
  sys::Fd file(memfd_create("in", MFD_CLOEXEC));
  ASSERT_TRUE(sys::write_all(file.get(), input));
  lseek(file.get(), 0, SEEK_SET);
  auto out = *sys::make_pipe();
  sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  std::string got;
  std::thread reader([&] { got = *sys::read_all(out.read.get(), 64 << 20); });
  ExecControl control;
  const auto result = client_.exec("box", {.argv = {"/bin/cat"}}, {.in = file.get(), .out = out.write.get(), .err = null.get()}, control);
  out.write.reset();
  reader.join();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 0);
  EXPECT_FALSE(result->out_closed);
  EXPECT_TRUE(got == input);
}

TEST_F(Exec, ASlowReaderSlowsTheCommandAndLosesNothing) {
  constexpr std::size_t kSize = 32 << 20;
  auto out = *sys::make_pipe();
  std::uint64_t sent_while_stalled = 0;
  std::size_t got = 0;
  std::thread reader([&] {
    std::this_thread::sleep_for(700ms);
    sent_while_stalled = fake_.running().sent;
    Bytes chunk(1 << 20);
    while (true) {
      const auto n = sys::read_some(out.read.get(), chunk.data(), chunk.size());
      if (!n || *n == 0) break;
      got += *n;
    }
  });
  ExecControl control;
  const auto result = client_.exec("box", shell("head -c 33554432 /dev/zero"), {.out = out.write.get()}, control);
  out.write.reset();
  reader.join();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(got, kSize);
  EXPECT_GT(sent_while_stalled, 0u);
  EXPECT_LT(sent_while_stalled, 4u << 20);  // our buffer, the pipe and the sockets; not the whole output
}

// The exit status must not be lost when the output is read long after incusd forgot the operation (5 s).
TEST_F(Exec, TheStatusIsFetchedWhileTheOutputStillWaits) {
  auto out = *sys::make_pipe();
  std::thread reader([&] {
    while (!fake_.running().told) std::this_thread::sleep_for(5ms);
    std::this_thread::sleep_for(50ms);
    fake_.on("GET /1.0/operations/e0/wait", test::error_answer(404, "Operation not found"));
    (void)sys::read_all(out.read.get(), 64 << 20);
  });
  ExecControl control;
  const auto result = client_.exec("box", shell("head -c 200000 /dev/zero; exit 9"), {.out = out.write.get()}, control);
  out.write.reset();
  reader.join();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 9);
}

TEST_F(Exec, AClosedReaderEndsTheCommandBySigpipe) {
  auto out = *sys::make_pipe();
  std::size_t got = 0;
  std::thread reader([&] {
    Bytes chunk(64 << 10);
    while (got < (1 << 20)) got += *sys::read_some(out.read.get(), chunk.data(), chunk.size());
    out.read.reset();
  });
  ExecControl control;
  const auto result = client_.exec("box", {.argv = {"/bin/cat", "/dev/zero"}}, {.out = out.write.get()}, control);
  reader.join();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_TRUE(result->out_closed);
  EXPECT_EQ(result->status, 128 + SIGPIPE);
}

TEST_F(Exec, ACommandThatIgnoresItsClosedReaderIsEnded) {
  auto out = *sys::make_pipe();
  out.read.reset();
  ExecControl control;
  const auto result = client_.exec("box", shell("echo x; exec sleep 60"), {.out = out.write.get()}, control);
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_TRUE(result->out_closed);
  EXPECT_EQ(result->status, 128 + SIGPIPE);
}

TEST_F(Exec, InputGoesOnAfterTheOutputsAreClosed) {
  auto in = *sys::make_pipe();
  sys::Fd file(memfd_create("collected", 0));
  const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file.get());
  std::thread writer([&] {
    std::this_thread::sleep_for(100ms);
    ASSERT_TRUE(sys::write_all(in.write.get(), "late"));
    in.write.reset();
  });
  ExecControl control;
  const auto result = client_.exec("box", shell("exec cat >" + path + " 2>&1"), {.in = in.read.get()}, control);
  writer.join();
  ASSERT_TRUE(result) << result.error().describe();
  char text[5] = {};
  EXPECT_EQ(pread(file.get(), text, 4, 0), 4);
  EXPECT_STREQ(text, "late");
}

TEST_F(Exec, ACommandThatDoesNotReadItsInputEnds) {
  sys::Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  ExecControl control;
  const auto result = client_.exec("box", shell("exit 4"), {.in = zero.get()}, control);
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 4);
}

TEST_F(Exec, AnOpenInputDoesNotKeepTheCommand) {
  auto in = *sys::make_pipe();  // nobody writes, nobody closes
  ExecControl control;
  EXPECT_EQ(client_.exec("box", shell("exit 5"), {.in = in.read.get()}, control)->status, 5);
}

TEST_F(Exec, CanBeCancelledFromAnotherThread) {
  auto out = *sys::make_pipe();
  ExecControl control;
  std::thread canceller([&] {
    wait_for_byte(out.read);
    control.cancel();
  });
  const auto result = client_.exec("box", shell("echo ready; exec sleep 60"), {.out = out.write.get()}, control);
  canceller.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(fake_.running().wait_over(5s));
  EXPECT_TRUE(fake_.running().killed());
}

TEST_F(Exec, ALongLivedHelperTalksOverSocketPairs) {
  auto pair = *sys::make_socketpair();
  ExecControl control;
  Result<ExecResult> result;
  std::thread helper([&] { result = client_.exec("box", {.argv = {"/bin/cat"}}, {.in = pair.a.get(), .out = pair.a.get()}, control); });
  for (int i = 0; i < 50; ++i) {
    std::string ping = "ping " + std::to_string(i), pong(ping.size(), '\0');
    ASSERT_TRUE(sys::write_all(pair.b.get(), ping));
    ASSERT_TRUE(sys::read_exact(pair.b.get(), reinterpret_cast<std::uint8_t*>(pong.data()), pong.size()));
    EXPECT_EQ(pong, ping);
  }
  ::shutdown(pair.b.get(), SHUT_WR);
  helper.join();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 0);
}

TEST_F(Exec, SignalsReachTheCommand) {
  auto out = *sys::make_pipe();
  ExecControl control;
  std::thread signaller([&] {
    wait_for_byte(out.read);  // the trap is set
    control.signal(SIGTERM);
  });
  const auto result = client_.exec("box", shell("trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done"), {.out = out.write.get()}, control);
  signaller.join();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 42);
}

TEST_F(Exec, ATerminalIsOneStreamWithASize) {
  ExecRequest request = shell("read line; stty size; echo \"got $line\"; exit 3");
  request.interactive = true;
  request.width = 101;
  request.height = 33;
  auto in = *sys::make_pipe();
  auto out = *sys::make_pipe();
  ExecControl control;
  control.resize(120, 40);  // before it runs: delivered once it does
  std::thread typist([&] {
    std::this_thread::sleep_for(500ms);
    ASSERT_TRUE(sys::write_all(in.write.get(), "hello\n"));
  });
  const auto result = client_.exec("box", request, {.in = in.read.get(), .out = out.write.get()}, control);
  typist.join();
  out.write.reset();
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 3);
  EXPECT_EQ(*sys::read_all(out.read.get(), 1 << 20), "hello\r\n40 120\r\ngot hello\r\n");
}

TEST_F(Exec, ACutOutputIsNeverTakenForItsEnd) {
  auto out = *sys::make_pipe();
  ExecControl control;
  std::thread cutter([&] {
    wait_for_byte(out.read);
    fake_.running().cut("s1");
  });
  const auto result = client_.exec("box", shell("echo a; sleep 1; echo b"), {.out = out.write.get()}, control);
  cutter.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kUnavailable);
}

TEST_F(Exec, IncusOwnWordsComeFirst) {
  fake_.on("GET /1.0/operations/e0/wait", test::operation_answer("e0", 400, "Failed attaching to the container"));
  const auto result = client_.run("box", {"/bin/true"}, options());
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("Failed attaching"), std::string::npos);
}

// incusd fails the operation when a command ends with 126 or 127, whoever said so; the output is all there.
TEST_F(Exec, StatusesThatIncusTakesForItsOwnKeepTheOutput) {
  fake_.on("GET /1.0/operations/e0/wait", [this](const test::HttpRequest&) {
    return fake_.running().told_after_end() ? test::operation_answer("e0", 400, "Command not found") : test::operation_answer("e0", 103);
  });
  const auto result = client_.run("box", {"/bin/sh", "-c", "head -c 300000 /dev/zero; echo why >&2; exit 127"}, options());
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->status, 127);
  EXPECT_EQ(result->out.size(), 300000U);
  EXPECT_EQ(result->err, "why\n");
  fake_.on("GET /1.0/operations/e0/wait", [this](const test::HttpRequest&) {
    return fake_.running().told_after_end() ? test::operation_answer("e0", 400, "Command not executable") : test::operation_answer("e0", 103);
  });
  ExecControl control;
  const auto quiet = client_.exec("box", {.argv = {"/bin/sh", "-c", "exit 126"}}, {}, control);
  ASSERT_TRUE(quiet) << quiet.error().describe();
  EXPECT_EQ(quiet->status, 126);
  EXPECT_TRUE(quiet->silent);
}

TEST_F(Exec, AnAbnormalStatusIsAnError) {
  for (const char* metadata : {R"({"return":-1})", R"({"return":"0"})", R"({"return":1000})", "{}", "null"}) {
    fake_.on("GET /1.0/operations/e0/wait", test::operation_answer("e0", 200, "", metadata));
    EXPECT_FALSE(client_.run("box", {"/bin/true"}, options())) << metadata;
  }
}

TEST_F(Exec, AnAnswerWithoutUsableSecretsIsRefused) {
  for (const char* metadata : {"{}", R"({"fds":[]})", R"({"fds":{"0":1,"1":"a","2":"b","control":"c"}})", R"({"fds":{"0":"","1":"a","2":"b","control":"c"}})",
                               R"({"fds":{"0":"a","1":"a","2":"b"}})"}) {
    fake_.on("POST /1.0/instances/box/exec", test::async_answer("e0", metadata));
    EXPECT_EQ(client_.run("box", {"/bin/true"}, options()).error().kind(), ErrorKind::kProtocol) << metadata;
  }
}

TEST_F(Exec, AnUnknownInstanceIsNotFound) {
  EXPECT_EQ(client_.run("nothere", {"/bin/true"}, options()).error().kind(), ErrorKind::kNotFound);
}

// incusd forgets a command whose connections do not come in time, without having begun it.
TEST_F(Exec, AForgottenCommandIsAskedForAgain) {
  fake_.tls.websockets_declined = 1;
  const auto result = client_.run("box", {"/bin/sh", "-c", "echo once"}, options());
  ASSERT_TRUE(result) << result.error().describe();
  EXPECT_EQ(result->out, "once\n");
  fake_.tls.websockets_declined = 100;
  EXPECT_FALSE(client_.run("box", {"/bin/true"}, options()));
}

// A frame that announces an absurd size costs no memory: it is read in pieces.
TEST_F(Exec, AHugeFrameIsTakenInPieces) {
  fake_.on("POST /1.0/instances/box/exec", test::async_answer("e0", R"({"fds":{"0":"s0","1":"s1","2":"s2","control":"sc"}})"));
  fake_.tls.on_websocket = [](const test::HttpRequest& request, test::WsPeer& socket) {
    if (request.target.ends_with("s1")) {
      socket.raw(std::string("\x82\x7f\x00\x00\x7f\xff\xff\xff\xff\xff", 10));
      while (socket.raw(std::string(16384, 'x'))) {
      }
      return;
    }
    while (socket.receive()) {
    }
  };
  RunOptions o = options();
  o.max_output = 8 << 20;
  EXPECT_EQ(client_.run("box", {"/bin/true"}, o).error().kind(), ErrorKind::kNoSpace);
}

}  // namespace
}  // namespace locki::incus
