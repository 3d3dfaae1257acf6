// Files through the mirror, each way: single ones, and many or large ones.
#include <fmt/format.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "cli/bench/inside.h"
#include "sys/file.h"

namespace locki::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::size_t kFiles = 10'000, kBig = 64 << 20;

// A file appears with that content; polled every two milliseconds, which is the figure's resolution.
Result<> wait_for_content(const fs::path& path, const std::string& content) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < deadline) {
    auto found = sys::read_file(path, 4096);
    if (found && *found == content) return {};
    std::this_thread::sleep_for(milliseconds(2));
  }
  return fail(ErrorKind::kTimeout, "it did not arrive within a minute: " + printable(path.native()));
}

Result<> wait_here(const std::function<bool()>& done) {
  constexpr auto kPatience = std::chrono::minutes(5);
  for (const auto begun = Clock::now(); !done(); std::this_thread::sleep_for(milliseconds(20))) {
    if (Clock::now() - begun > kPatience) return fail(ErrorKind::kTimeout, "it was not carried in time");
  }
  return {};
}

std::size_t files_in(const fs::path& directory) {
  std::size_t count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) count += it->is_regular_file(error) ? 1 : 0;
  return count;
}

// Ends when `condition` holds; fails after some minutes, so that what never comes does not hang the bench.
std::vector<std::string> waiting_inside(const std::string& condition, const char* pause, int tries, std::string argument) {
  return {"/bin/sh", "-c", fmt::format("n=0; until {}; do n=$((n + 1)); [ $n -lt {} ] || exit 1; sleep {}; done", condition, tries, pause), "sh", std::move(argument)};
}

Result<> measure_many(Bench& bench, const OpenedSandbox& sandbox, const fs::path& top) {
  const auto make_inside = "set -e; mkdir -p .locki-bench-files/out; cd .locki-bench-files/out; for d in $(seq 100); do mkdir $d; for f in $(seq 100); do echo $d $f >$d/$f; done; done";
  TRY(run_inside(bench.context(), sandbox, {"/bin/sh", "-c", make_inside}));
  auto begun = Clock::now();
  TRY(wait_here([&] { return files_in(top / "out") >= kFiles; }));
  bench.add({"files-out", "10,000 files made inside are on the host (after the last one)", {seconds_since(begun)}});

  begun = Clock::now();
  for (std::size_t i = 0; i < kFiles; ++i) {
    const auto directory = top / "in" / std::to_string(i / 100);
    if (i % 100 == 0) TRY(sys::make_directories(directory, 0755));
    // As programs write files: sys::write_file waits for the disk each time.
    TRY_ASSIGN(const auto file, sys::open_file(directory / std::to_string(i), O_WRONLY | O_CREAT | O_TRUNC, 0644));
    TRY(sys::write_all(file.get(), std::to_string(i) + "\n"));
  }
  TRY(run_inside(bench.context(), sandbox, waiting_inside("[ \"$(find .locki-bench-files/in -type f 2>/dev/null | wc -l)\" -ge \"$1\" ]", "0.2", 3000, std::to_string(kFiles))));
  bench.add({"files-in", "10,000 files made on the host are inside (with making them)", {seconds_since(begun)}});
  return {};
}

Result<> measure_large(Bench& bench, const OpenedSandbox& sandbox, const fs::path& top) {
  Figure out{"bytes-out", "64 MiB written inside, to the host", {}, Unit::kBytesPerSecond}, in{"bytes-in", "64 MiB written on the host, to the inside", {}, Unit::kBytesPerSecond};
  for (int i = 0; i < 3; ++i) {
    const auto name = fmt::format("big{}", i);
    TRY(run_inside(bench.context(), sandbox, {"/bin/sh", "-c", "head -c 67108864 /dev/urandom >.locki-bench-files/part; mv .locki-bench-files/part \"$1\"", "sh", ".locki-bench-files/" + name}));
    auto begun = Clock::now();
    std::error_code error;
    TRY(wait_here([&] { return fs::file_size(top / name, error) == kBig && !error; }));
    out.samples.push_back(static_cast<double>(kBig) / seconds_since(begun));
    const std::string content(kBig, static_cast<char>('a' + i));
    begun = Clock::now();
    TRY(sys::write_file(top / ("in-" + name), content));
    TRY(run_inside(bench.context(), sandbox, waiting_inside("[ \"$(stat -c %s \"$1\" 2>/dev/null)\" = 67108864 ]", "0.05", 6000, ".locki-bench-files/in-" + name)));
    in.samples.push_back(static_cast<double>(kBig) / seconds_since(begun));
  }
  bench.add(std::move(out));
  bench.add(std::move(in));
  return {};
}

}  // namespace

Result<> measure_mirror(Bench& bench, const OpenedSandbox& sandbox) {
  Context& context = bench.context();
  const fs::path file = fs::path(sandbox.worktree) / ".locki-bench";
  int round = 0;
  // The far end's time is part of its own figure: the command inside waits for the file, so one clock measures each way.
  Figure out{"inside-to-host", "a file written inside is on the host (after the command that wrote it)", {}};
  Figure in{"host-to-inside", "a file written on the host, until a command inside that waits for it has ended", {}};
  const auto measured = [&]() -> Result<> {
    for (; round < 20; ++round) {
      const std::string text = fmt::format("{} {}\n", ::getpid(), round);
      TRY(run_inside(context, sandbox, {"/bin/sh", "-c", "printf '%s' \"$1\" >.locki-bench", "sh", text}));
      const auto begun = Clock::now();
      TRY(wait_for_content(file, text));
      out.samples.push_back(seconds_since(begun));
    }
    for (; round < 40; ++round) {
      const std::string text = fmt::format("{} {}\n", ::getpid(), round);
      const auto begun = Clock::now();
      TRY(sys::write_file(file, text));
      TRY(run_inside(context, sandbox, waiting_inside("[ \"$(cat .locki-bench)\" = \"$1\" ]", "0.01", 6000, text.substr(0, text.size() - 1))));
      in.samples.push_back(seconds_since(begun));
    }
    return {};
  }();
  const auto removed = sys::remove_tree(file);
  TRY(measured);
  bench.add(std::move(out));
  bench.add(std::move(in));
  return removed;
}

// 10,000 small files and some of 64 MiB each way, from the last byte written to the last one carried.
Result<> measure_throughput(Bench& bench, const OpenedSandbox& sandbox) {
  const fs::path top = fs::path(sandbox.worktree) / ".locki-bench-files";
  auto measured = measure_many(bench, sandbox, top);
  if (measured) measured = measure_large(bench, sandbox, top);
  TRY(sys::remove_tree(top));
  TRY(measured);
  return bench.context().call("sandbox.sync", {{"cwd", sandbox.worktree}, {"name", sandbox.name}}).map([](const json::object&) {});
}

}  // namespace locki::cli
