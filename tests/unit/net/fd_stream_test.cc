#include "net/fd_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>
#include <thread>

#include "sys/fd.h"

namespace locki::net {
namespace {

using namespace std::chrono_literals;

std::string read_to_end(int fd) {
  EventLoop loop;
  auto stream = FdStream::make(loop, fd, FdStream::Use::kRead);
  EXPECT_TRUE(stream);
  std::string all;
  std::uint8_t chunk[1000];
  std::function<void()> next = [&] {
    stream->read(chunk, sizeof chunk, [&](Result<std::size_t> got) {
      EXPECT_TRUE(got);
      if (!got || *got == 0) return loop.stop();
      all.append(reinterpret_cast<char*>(chunk), *got);
      next();
    });
  };
  next();
  loop.run();
  return all;
}

Result<> write_out(int fd, std::string_view text) {
  EventLoop loop;
  auto stream = FdStream::make(loop, fd, FdStream::Use::kWrite);
  EXPECT_TRUE(stream);
  Result<> outcome;
  stream->write(as_bytes(text), [&](Result<> done) {
    outcome = std::move(done);
    loop.stop();
  });
  loop.run();
  return outcome;
}

bool is_nonblocking(int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

class FdStreams : public testing::Test {
 protected:
  FdStreams() { std::signal(SIGPIPE, SIG_IGN); }
  const std::string text_ = std::string(300'000, 'a') + "the end";
};

TEST_F(FdStreams, ReadsAPipeThatFillsSlowly) {
  auto pipe = *sys::make_pipe();
  std::thread writer([&] {
    std::this_thread::sleep_for(20ms);
    ASSERT_TRUE(sys::write_all(pipe.write.get(), text_));
    pipe.write.reset();
  });
  EXPECT_EQ(read_to_end(pipe.read.get()), text_);
  EXPECT_FALSE(is_nonblocking(pipe.read.get()));
  writer.join();
}

TEST_F(FdStreams, WritesToAPipeThatDrainsSlowly) {
  auto pipe = *sys::make_pipe();
  std::string got;
  std::thread reader([&] {
    std::this_thread::sleep_for(20ms);
    got = *sys::read_all(pipe.read.get(), 1 << 20);
  });
  EXPECT_TRUE(write_out(pipe.write.get(), text_));
  EXPECT_FALSE(is_nonblocking(pipe.write.get()));
  pipe.write.reset();
  reader.join();
  EXPECT_EQ(got, text_);
}

TEST_F(FdStreams, SocketsWorkBothWays) {
  auto pair = *sys::make_socketpair();
  std::string got;
  std::thread far([&] { got = read_to_end(pair.b.get()); });
  EXPECT_TRUE(write_out(pair.a.get(), text_));
  EXPECT_FALSE(is_nonblocking(pair.a.get()));
  pair.a.reset();
  far.join();
  EXPECT_EQ(got, text_);
}

TEST_F(FdStreams, FilesAndDevNullWorkAlthoughEpollRefusesThem) {
  sys::Fd file(memfd_create("file", MFD_CLOEXEC));
  EXPECT_TRUE(write_out(file.get(), text_));
  lseek(file.get(), 0, SEEK_SET);
  EXPECT_EQ(read_to_end(file.get()), text_);
  sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(read_to_end(null.get()), "");
  EXPECT_TRUE(write_out(null.get(), text_));
}

TEST_F(FdStreams, ATerminalWorksAndItsHangUpIsTheEnd) {
  int master = -1, slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  sys::Fd near(master), far(slave);
  EXPECT_TRUE(write_out(far.get(), "hi\n"));
  char echo[4] = {};
  ASSERT_EQ(read(near.get(), echo, 4), 4);
  EXPECT_EQ(std::string_view(echo, 4), "hi\r\n");
  ASSERT_TRUE(sys::write_all(near.get(), "typed\n"));
  std::thread hang_up([&] {
    std::this_thread::sleep_for(50ms);
    near.reset();
  });
  EXPECT_EQ(read_to_end(far.get()), "typed\n");
  hang_up.join();
}

TEST_F(FdStreams, AClosedReaderIsTold) {
  auto pipe = *sys::make_pipe();
  pipe.read.reset();
  EXPECT_EQ(write_out(pipe.write.get(), "x").error().kind(), ErrorKind::kUnavailable);
  auto pair = *sys::make_socketpair();
  pair.b.reset();
  EXPECT_EQ(write_out(pair.a.get(), "x").error().kind(), ErrorKind::kUnavailable);
}

TEST_F(FdStreams, AFullDiskIsTold) {
  sys::Fd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(write_out(full.get(), "x").error().kind(), ErrorKind::kNoSpace);
}

TEST_F(FdStreams, ADestroyedStreamCallsNothing) {
  EventLoop loop;
  auto pipe = *sys::make_pipe();
  std::uint8_t byte = 0;
  bool called = false;
  std::optional<FdStream> stream = std::move(*FdStream::make(loop, pipe.read.get(), FdStream::Use::kRead));
  stream->read(&byte, 1, [&](Result<std::size_t>) { called = true; });
  loop.post([&] { stream.reset(); });
  loop.run();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace locki::net
