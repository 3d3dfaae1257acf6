#include "mirror/wire.h"

#include <gtest/gtest.h>

#include <random>

namespace locki::mirror::wire {
namespace {

std::vector<Message> samples() {
  const Entry file = Entry::file(5, hash_of("hello"), true);
  return {Data{7, true, false, "bytes"},
          Credit{77},
          HostHello{kVersion, "/w", "main", "sha1", "N", "e@x", 3},
          Known{{"a", "b/c"}, true},
          Rescan{},
          Fetch{1, "a", hash_of("x")},
          Put{2, "p", file, Entry::symlink("t")},
          Put{2, "p", Entry::directory(), std::nullopt},
          Remove{3, "p", file},
          Barrier{4},
          GitFetch{5, {std::string(40, 'a')}, {std::string(40, 'b'), std::string(64, 'c')}},
          GitPack{6, "n", "", "a"},
          Note{"t"},
          Bye{"r"},
          ListBranches{8}, Flush{9, "m"},
          FarHello{1, "p", "b", "m"},
          Entries{9, true, true, false, {{"a", file}, {"b", std::nullopt}}},
          Content{1, 5},
          ContentGone{1},
          Done{1, DoneStatus::kClash, file, "m", 3},
          BarrierDone{1, 2},
          Head{"main", std::string(40, 'c'), 4},
          Pack{1, std::string(40, 'd')},
          Problem{"p"},
          Branches{8, {{"a/b", std::string(40, 'd')}, {"c", std::string(64, 'e')}}, 3, 4}};
}

TEST(Wire, EveryMessageComesBack) {
  Decoder decoder;
  std::string bytes;
  for (const Message& message : samples()) bytes += encode(message);
  // A byte at a time.
  std::vector<std::string> got;
  for (const char c : bytes) {
    decoder.feed(as_bytes(std::string_view(&c, 1)));
    while (true) {
      auto frame = decoder.next();
      ASSERT_TRUE(frame.has_value()) << frame.error().describe();
      if (!*frame) break;
      got.push_back(encode((*frame)->message));
    }
  }
  std::vector<std::string> want;
  for (const Message& message : samples()) want.push_back(encode(message));
  EXPECT_EQ(got, want);
}

TEST(Wire, TruncatedAndOverlongPayloadsAreRefused) {
  for (const Message& message : samples()) {
    const std::string frame = encode(message);
    const auto type = static_cast<std::uint8_t>(frame[4]);
    const std::string payload = frame.substr(kHeaderSize);
    for (std::size_t cut = 0; cut < payload.size(); ++cut) {
      EXPECT_FALSE(decode(type, as_bytes(std::string_view(payload).substr(0, cut))).has_value())
          << int{type} << " " << cut;
    }
    EXPECT_FALSE(decode(type, as_bytes(payload + "x")).has_value());
  }
}

TEST(Wire, HostileHeaders) {
  for (const std::string& bytes : {std::string("\xff\xff\xff\xff\x01", 5), std::string("\x01\x00\x10\x00\x01", 5),
                                   std::string("\0\0\0\0\0", 5), std::string("\0\0\0\0\x7f", 5)}) {
    Decoder decoder;
    decoder.feed(as_bytes(bytes));
    EXPECT_FALSE(decoder.next().has_value());
    decoder.feed(as_bytes(encode(Rescan{})));
    EXPECT_FALSE(decoder.next().has_value()) << "it must stay broken";
  }
}

TEST(Wire, CountsAndLengthsAreBoundedBeforeTheyCostMemory) {
  // A list that claims four billion elements, in a frame of a few bytes.
  EXPECT_FALSE(
      decode(static_cast<std::uint8_t>(Type::kKnown), as_bytes(std::string("\0\xff\xff\xff\xff", 5))).has_value());
  // A path longer than allowed.
  Fetch fetch{1, std::string(kMaxPathBytes + 1, 'a'), {}};
  const std::string frame = encode(fetch);
  EXPECT_FALSE(decode(static_cast<std::uint8_t>(frame[4]), as_bytes(frame.substr(kHeaderSize))).has_value());
}

TEST(Wire, RandomBytesNeverCrash) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string payload(random() % 200, '\0');
    for (char& c : payload) c = static_cast<char>(random());
    (void)decode(static_cast<std::uint8_t>(random() % 80), as_bytes(payload));
  }
}

TEST(Wire, EntriesAreSplitWithinTheLimits) {
  std::vector<Change> changes;
  for (int i = 0; i < 10'000; ++i)
    changes.push_back({std::string(200, 'd') + std::to_string(i), Entry::symlink(std::string(1000, 't'))});
  const auto frames = split_entries(3, true, changes);
  EXPECT_GT(frames.size(), 2u);
  std::size_t count = 0;
  for (const Entries& frame : frames) {
    EXPECT_LE(encode(frame).size(), kMaxPayload + kHeaderSize);
    EXPECT_EQ(frame.first, &frame == &frames.front());
    EXPECT_EQ(frame.last, &frame == &frames.back());
    count += frame.entries.size();
  }
  EXPECT_EQ(count, changes.size());
  EXPECT_EQ(split_entries(1, true, {}).size(), 1u);
}

}  // namespace
}  // namespace locki::mirror::wire
