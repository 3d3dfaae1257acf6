// A pipe on loan carries what it was filled with, and nobody gets a pipe with another's bytes.
#include "gate/splice_pipe.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <csignal>

namespace locki::gate {
namespace {

using State = Transfer::State;
const Address kOne = Address::v4(1), kTwo = Address::v4(2), kThree = Address::v4(3);

struct Wire {
  sys::Fd near, far;
};
Wire wire() {
  auto pair = sys::make_socketpair().value();
  EXPECT_TRUE(sys::set_nonblocking(pair.a.get(), true));
  EXPECT_TRUE(sys::set_nonblocking(pair.b.get(), true));
  return {std::move(pair.a), std::move(pair.b)};
}

std::string receive_text(int fd) {
  std::string text(4096, '\0');
  const Transfer got = receive(fd, text);
  text.resize(got.size);
  return text;
}

TEST(SplicePipe, CarriesBytesAndCountsThem) {
  PipePool pool;
  Wire from = wire(), to = wire();
  SplicePipe pipe = pool.lend(kOne);
  ASSERT_TRUE(pipe);
  EXPECT_EQ(pipe.fill(from.near.get(), SIZE_MAX)->state, State::kWouldBlock);
  transmit(from.far.get(), "some bytes");
  EXPECT_EQ(pipe.fill(from.near.get(), SIZE_MAX)->size, 10u);
  EXPECT_EQ(pipe.held(), 10u);
  EXPECT_EQ(pipe.drain(to.near.get()).size, 10u);
  EXPECT_EQ(pipe.held(), 0u);
  EXPECT_EQ(receive_text(to.far.get()), "some bytes");
  end_sending(from.far.get());
  EXPECT_EQ(pipe.fill(from.near.get(), SIZE_MAX)->state, State::kEnd);
}

TEST(SplicePipe, AReceiverThatIsFullOrGone) {
  std::signal(SIGPIPE, SIG_IGN);
  PipePool pool;
  Wire from = wire(), to = wire();
  while (transmit(to.near.get(), std::string(4096, 'x')).state == State::kDone) continue;
  transmit(from.far.get(), "waits");
  SplicePipe pipe = pool.lend(kOne);
  EXPECT_EQ(pipe.fill(from.near.get(), SIZE_MAX)->size, 5u);
  EXPECT_EQ(pipe.drain(to.near.get()).state, State::kWouldBlock);
  EXPECT_EQ(pipe.held(), 5u);
  to.far.reset();
  EXPECT_EQ(pipe.drain(to.near.get()).state, State::kBroken);
}

TEST(SplicePipe, AnEmptyOneIsLentAgainAndADirtyOneNever) {
  PipePool pool;
  Wire from = wire(), to = wire();
  for (int i = 0; i < 20; ++i) {
    SplicePipe dirty = pool.lend(kOne);
    transmit(from.far.get(), "a secret of one sandbox");
    ASSERT_EQ(dirty.fill(from.near.get(), SIZE_MAX)->size, 23u);
    if (i % 2 == 0) dirty = SplicePipe();
  }
  EXPECT_EQ(pool.lent(), 0u);
  std::vector<SplicePipe> all;
  for (std::size_t i = 0; i < PipePool::kMost / 2; ++i) {
    all.push_back(pool.lend(kOne));
    transmit(from.far.get(), "other");
    ASSERT_EQ(all.back().fill(from.near.get(), SIZE_MAX)->size, 5u);
    ASSERT_EQ(all.back().drain(to.near.get()).size, 5u);
    ASSERT_EQ(receive_text(to.far.get()), "other");
  }
}

TEST(SplicePipe, OneOwnerHasHalfOfThemAtMost) {
  PipePool pool;
  std::vector<SplicePipe> all;
  for (SplicePipe next = pool.lend(kOne); next; next = pool.lend(kOne)) all.push_back(std::move(next));
  EXPECT_EQ(pool.lent(), PipePool::kMost / 2);
  all.pop_back();
  EXPECT_TRUE(pool.lend(kOne));
  EXPECT_EQ(pool.lent(), PipePool::kMost / 2 - 1);
}

TEST(SplicePipe, WhoeverComesLaterFindsSome) {
  PipePool pool;
  std::vector<SplicePipe> all;
  const auto take_all = [&](const Address& owner) {
    const std::size_t before = pool.lent();
    for (SplicePipe next = pool.lend(owner); next; next = pool.lend(owner)) all.push_back(std::move(next));
    return pool.lent() - before;
  };
  EXPECT_EQ(take_all(kOne), 32u);
  EXPECT_EQ(take_all(kTwo), 16u);
  EXPECT_EQ(take_all(kThree), 8u);
  EXPECT_FALSE(pool.lend(kOne));
  // What the greedy ones give back comes to those that have less, until all have the same.
  all.erase(all.begin(), all.begin() + 24);
  EXPECT_EQ(take_all(kThree), 12u);
  EXPECT_LE(pool.lent(), PipePool::kMost);
}

TEST(SplicePipe, TakesNoMoreThanItIsAskedTo) {
  PipePool pool;
  Wire from = wire(), to = wire();
  SplicePipe pipe = pool.lend(kOne);
  transmit(from.far.get(), "body and more");
  EXPECT_EQ(pipe.fill(from.near.get(), 4)->size, 4u);
  EXPECT_EQ(pipe.drain(to.near.get()).size, 4u);
  EXPECT_EQ(receive_text(to.far.get()), "body");
  EXPECT_EQ(receive_text(from.near.get()), " and more");
}

TEST(SplicePipe, WhatCannotBeSplicedSaysSo) {
  PipePool pool;
  const sys::Fd event(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  SplicePipe pipe = pool.lend(kOne);
  EXPECT_FALSE(pipe.fill(event.get(), SIZE_MAX));
  EXPECT_EQ(pipe.held(), 0u);
}

}  // namespace
}  // namespace locki::gate
