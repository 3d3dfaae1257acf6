// What carrying many files costs, natively: worker and endpoint over two directories of one disk, joined by a socket pair. Seconds from the first of 10,000 files
// written until both sides agree on the last; the same for changing and for deleting them; each way. A program for people; nothing is asserted.
#include <fmt/core.h>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

constexpr int kFiles = 10'000, kDirectories = 100;

void write_all(const fs::path& top, std::string_view what) {
  for (int i = 0; i < kFiles; ++i) write(top / "many" / std::to_string(i % kDirectories) / std::to_string(i), fmt::format("{} {}\n", what, i));
}

void measure(MirrorPair& pair, std::string_view way, const fs::path& top) {
  const auto round = [&](std::string_view what, const auto& act) {
    const auto begun = steady_clock::now();
    act();
    const std::chrono::duration<double> made = steady_clock::now() - begun;
    if (!pair.sync(seconds(600))) fmt::print("{} {}: the two sides do not agree\n", way, what);
    const std::chrono::duration<double> agreed = steady_clock::now() - begun;
    fmt::print("{:4} {:8} {:6.2f} s, {:.2f} s of it to make them\n", way, what, agreed.count(), made.count());
  };
  round("made", [&] { write_all(top, "first"); });
  round("changed", [&] { write_all(top, "second"); });
  round("deleted", [&] { fs::remove_all(top / "many"); });
}

}  // namespace
}  // namespace locki::mirror::test

int main() {
  using namespace locki::mirror::test;
  MirrorPair pair;
  pair.start();
  if (!pair.sync()) return 1;
  measure(pair, "in", pair.host());
  measure(pair, "out", pair.inside());
  pair.stop();
}
