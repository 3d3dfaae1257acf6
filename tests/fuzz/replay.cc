// Runs a fuzz target without libFuzzer: every file of its corpus, then mutations of them for so many seconds, other ones each time.
// `replay_NAME CORPUS SECONDS [SEED]`. An input that breaks a promise aborts and is left beside the program; once understood, it belongs into the
// corpus. Without coverage to guide it: where clang is at hand, the preset "fuzz" does better.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "support/mutation.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)());
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string current;

void leave_the_input() {
  if (std::FILE* file = std::fopen("crash-input", "wb")) {
    (void)std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
  }
  std::fputs("the input is in ./crash-input\n", stderr);
}

void on_signal(int) {
  leave_the_input();
  std::_Exit(1);
}

void run(std::string input) {
  current = std::move(input);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  for (const int number : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) std::signal(number, on_signal);
  __sanitizer_set_death_callback(leave_the_input);
  std::vector<std::string> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (seeds.empty()) return std::fputs("the corpus is empty\n", stderr), 1;
  std::sort(seeds.begin(), seeds.end());  // a directory has no order
  for (const std::string& seed : seeds) run(seed);
  const unsigned begin = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : std::random_device()();
  std::printf("seed %u\n", begin);
  std::fflush(stdout);
  std::mt19937 random(begin);
  std::string text;
  unsigned long count = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(std::atol(argv[2]));
  for (; count % 64 != 0 || std::chrono::steady_clock::now() < until; ++count) {
    // Mostly a mutation of a mutation, so that they wander far; now and then the end of one behind the beginning of another.
    if (count % 8 == 0 || text.size() > 4096) text = seeds[random() % seeds.size()];
    if (count % 32 == 0) text += seeds[random() % seeds.size()];
    text = locki::test::mutated(std::move(text), random);
    run(text);
  }
  std::printf("%zu of the corpus and %lu mutations\n", seeds.size(), count);
}
