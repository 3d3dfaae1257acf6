// Deterministic mutations of good inputs, for tests that hammer a parser everywhere. Where a real fuzzer is at hand, tests/fuzz does the same better.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace locki::test {

inline constexpr int kRounds = 100'000;

inline std::string mutated(std::string text, std::mt19937& random) {
  using namespace std::string_view_literals;
  static constexpr std::string_view kInteresting = "\0\r\n\t .:-_@/%[]0x\xff\x16\x03*#\\"sv;
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % (n == 0 ? 1 : n)); };
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
    const std::size_t at = below(text.size() + 1);
    switch (below(6)) {
      case 0:
        text.insert(at, 1, kInteresting[below(kInteresting.size())]);
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 2:
        text.erase(at, below(8));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(16)));
        break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      default:
        text.resize(below(2) == 0 ? at : text.size());
        break;
    }
  }
  return text;
}

inline void hammer(const std::vector<std::string>& seeds, void (*target)(std::string_view)) {
  for (const std::string& seed : seeds) target(seed);
  std::mt19937 random(20240217);
  std::string text;
  for (int i = 0; i < kRounds; ++i) {
    // Mostly fresh, sometimes a mutation of a mutation.
    if (i % 4 == 0 || text.size() > 4096) text = seeds[random() % seeds.size()];
    text = mutated(std::move(text), random);
    target(text);
  }
}

}  // namespace locki::test
