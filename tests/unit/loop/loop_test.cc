#include "loop/loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <thread>

#include "sys/fd.h"

namespace locki::loop {
namespace {

using namespace std::chrono_literals;

TEST(Loop, PostedWorkRunsInOrderAndStopEndsIt) {
  Loop loop;
  std::string seen;
  std::thread other([&] {
    loop.post([&] { seen += "a"; });
    loop.post([&] { seen += "b"; });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(seen, "ab");
}

TEST(Loop, StopBeforeRunIsNotLost) {
  Loop loop;
  loop.stop();
  loop.run();
}

TEST(Loop, ATimerFiresOnceAndACancelledOneNever) {
  Loop loop;
  int fired = 0;
  Timer cancelled = loop.after(1ms, [&] { fired += 100; });
  cancelled.cancel();
  Timer timer = loop.after(5ms, [&] { ++fired; });
  Timer end = loop.after(50ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Loop, AWatchIsLevelTriggeredAndFollowsItsInterest) {
  Loop loop;
  auto pair = sys::make_socketpair().value();
  ASSERT_TRUE(sys::write_all(pair.b.get(), "abc"));
  std::string seen;
  FdWatch watch;
  watch = loop.watch_fd(pair.a.get(), {.read = true},
                        [&](Ready ready) {
                          EXPECT_TRUE(ready.read);
                          char c = 0;
                          ASSERT_EQ(::read(pair.a.get(), &c, 1), 1);
                          seen += c;
                          if (seen.size() == 2) watch.want({});  // the third byte is there, but nobody wants it
                        })
              .value();
  Timer end = loop.after(50ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(seen, "ab");
}

TEST(Loop, InterestThatComesBackIsServed) {
  Loop loop;
  auto pair = sys::make_socketpair().value();
  int calls = 0;
  FdWatch watch = loop.watch_fd(pair.a.get(), {.read = true},
                                [&](Ready) {
                                  ++calls;
                                  loop.stop();
                                })
                      .value();
  watch.want({});
  Timer later = loop.after(10ms, [&] { watch.want({.read = true}); });
  ASSERT_TRUE(sys::write_all(pair.b.get(), "x"));
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(Loop, AHandleMayBeDestroyedInItsOwnCallback) {
  Loop loop;
  auto pair = sys::make_socketpair().value();
  int calls = 0;
  auto watch = std::make_unique<FdWatch>();
  *watch = loop.watch_fd(pair.a.get(), {.write = true},
                         [&](Ready) {
                           ++calls;
                           watch.reset();
                           pair.a.reset();
                         })
               .value();
  Timer end = loop.after(20ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(Loop, TheEndOfThePeerIsReadable) {
  Loop loop;
  auto pair = sys::make_socketpair().value();
  FdWatch watch = loop.watch_fd(pair.a.get(), {.read = true}, [&](Ready) { loop.stop(); }).value();
  pair.b.reset();
  loop.run();
}

TEST(Loop, ACallbackThatThrowsDoesNotEndTheLoop) {
  Loop loop;
  bool after = false;
  loop.post([] { throw std::runtime_error("x"); });
  loop.post([&] {
    after = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(after);
}

TEST(Loop, SignalsArrive) {
  Loop loop;
  int seen = 0;
  SignalWatch watch = loop.watch_signals({SIGUSR1},
                                         [&](int number) {
                                           seen = number;
                                           loop.stop();
                                         })
                          .value();
  loop.post([] { ::raise(SIGUSR1); });
  loop.run();
  EXPECT_EQ(seen, SIGUSR1);
}

TEST(Loop, AClosedDescriptorCannotBeWatched) {
  Loop loop;
  auto pair = sys::make_socketpair().value();
  const int number = pair.a.get();
  pair.a.reset();
  EXPECT_FALSE(loop.watch_fd(number, {.read = true}, [](Ready) {}));
}

}  // namespace
}  // namespace locki::loop
