// Runs a fuzz target without libFuzzer: every file of its corpus, then so many mutations of them, always the same ones. `replay_NAME CORPUS COUNT [SEED]`. An
// input that breaks a promise aborts and is left beside the program; once understood, it belongs into the corpus. Without coverage to guide
// it: where clang is at hand, the preset "fuzz" does better.
#include <algorithm>
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

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string current;

void leave_the_input(int) {
  if (std::FILE* file = std::fopen("crash-input", "wb")) {
    (void)std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
  }
  std::fputs("the input is in ./crash-input\n", stderr);
  std::_Exit(1);
}

void run(std::string input) {
  current = std::move(input);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  for (const int number : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) std::signal(number, leave_the_input);
  std::vector<std::string> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (seeds.empty()) return std::fputs("the corpus is empty\n", stderr), 1;
  std::sort(seeds.begin(), seeds.end());  // a directory has no order
  for (const std::string& seed : seeds) run(seed);
  std::mt19937 random(argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 1);
  std::string text;
  for (long i = 0, count = std::atol(argv[2]); i < count; ++i) {
    // Mostly a mutation of a mutation, so that they wander far; now and then the end of one behind the beginning of another.
    if (i % 8 == 0 || text.size() > 4096) text = seeds[random() % seeds.size()];
    if (i % 32 == 0) text += seeds[random() % seeds.size()];
    text = locki::test::mutated(std::move(text), random);
    run(text);
  }
  std::printf("%zu of the corpus and %s mutations\n", seeds.size(), argv[2]);
}
